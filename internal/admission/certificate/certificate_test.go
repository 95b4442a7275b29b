package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

// memory is a Store with the API server's optimistic locking.
type memory struct {
	mu      sync.Mutex
	data    map[string][]byte
	version int
	before  func() // once, in front of the next Put
}

func (m *memory) Get(context.Context) (map[string][]byte, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		return nil, "", nil
	}
	return maps.Clone(m.data), fmt.Sprint(m.version), nil
}

func (m *memory) Put(_ context.Context, data map[string][]byte, version string) error {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := map[bool]string{true: "", false: fmt.Sprint(m.version)}[m.data == nil]; now != version {
		return ErrConflict
	}
	m.data, m.version = maps.Clone(data), m.version+1
	return nil
}

// world is a store, replicas, and an API server that learns authorities late.
type world struct {
	t        *testing.T
	store    *memory
	now      time.Time
	replicas []*Keeper
	trusted  []byte // what the API server has in caBundle
	steps    []string
}

func newWorld(t *testing.T, replicas int, life Lifetimes) *world {
	w := &world{t: t, store: &memory{}, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	for range replicas {
		k := &Keeper{Store: w.store, Names: []string{"seawall.seawall.svc", "10.0.0.1"}, Lifetimes: life, Now: func() time.Time { return w.now },
			Published: func(_ context.Context, ca []byte) bool { return Trusts(w.trusted, ca) },
			Changed:   func(what string) { w.steps = append(w.steps, what) }}
		w.replicas = append(w.replicas, k)
	}
	return w
}

func (w *world) sync(k *Keeper) {
	w.t.Helper()
	if _, err := k.Sync(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// call is one call of the API server to a replica.
func (w *world) call(k *Keeper) error {
	served, err := k.TLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.trusted)
	for _, name := range k.Names {
		if _, err := served.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: w.now}); err != nil {
			return err
		}
	}
	return nil
}

// TestRotation lets a year pass with three replicas that look at different times
// and an API server that is behind: no call ever fails.
func TestRotation(t *testing.T) {
	w := newWorld(t, 3, Lifetimes{Authority: 90 * 24 * time.Hour, Serving: 20 * 24 * time.Hour, Overlap: 13 * time.Hour})
	for _, k := range w.replicas {
		w.sync(k)
	}
	w.trusted = w.replicas[0].Authorities()
	const step = 4 * time.Hour
	for i := range int(365 * 24 * time.Hour / step) {
		w.now = w.now.Add(step)
		w.sync(w.replicas[i%3]) // each looks twice a day
		if i%5 == 0 {
			w.trusted = w.replicas[i%3].Authorities()
		}
		for j, k := range w.replicas {
			if err := w.call(k); err != nil {
				t.Fatalf("%s, replica %d: %v", w.now, j, err)
			}
		}
	}
	counts := map[string]int{}
	for _, s := range w.steps {
		counts[s]++
	}
	if counts["new authority"] != 1 || counts["next authority added"] != 6 || counts["certificate of the new authority"] != 6 || counts["old authority removed"] != 6 || counts["certificate renewed"] < 15 {
		t.Errorf("steps of a year: %v", counts)
	}
}

// TestUnpublished: while callers do not know the new authority, nothing signed by it is served.
func TestUnpublished(t *testing.T) {
	w := newWorld(t, 1, Lifetimes{Authority: 90 * time.Minute, Serving: 90 * time.Minute, Overlap: time.Minute})
	k := w.replicas[0]
	w.sync(k)
	w.trusted = k.Authorities()
	for range 70 {
		w.now = w.now.Add(time.Minute)
		w.sync(k)
		if err := w.call(k); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(string(k.Authorities()), "BEGIN"); n != 2 {
		t.Fatalf("%d authorities, want the old and the next", n)
	}
	w.trusted = k.Authorities()
	w.sync(k)
	w.now = w.now.Add(time.Minute)
	w.sync(k)
	if n := strings.Count(string(k.Authorities()), "BEGIN"); n != 1 || w.call(k) != nil {
		t.Fatalf("%d authorities, call: %v", n, w.call(k))
	}
	want := []string{"new authority", "next authority added", "certificate renewed", "certificate of the new authority", "old authority removed"}
	if diff := cmp.Diff(want, w.steps); diff != "" {
		t.Error(diff)
	}
}

func TestReplicasThatRace(t *testing.T) {
	w := newWorld(t, 2, DefaultLifetimes())
	w.store.before = func() { w.sync(w.replicas[1]) }
	w.sync(w.replicas[0])
	a, b := w.replicas[0].Authorities(), w.replicas[1].Authorities()
	if diff := cmp.Diff(string(a), string(b)); diff != "" || len(a) == 0 {
		t.Errorf("two replicas, two authorities: %s", diff)
	}
}

func TestSomebodyEditsTheSecret(t *testing.T) {
	w := newWorld(t, 2, DefaultLifetimes())
	k := w.replicas[0]
	w.sync(k)
	first := string(k.Authorities())
	w.store.data = nil
	w.sync(k)
	w.sync(w.replicas[1])
	if string(w.replicas[1].Authorities()) != first {
		t.Error("a deleted Secret was not written again as it was")
	}
	w.store.data[keyCertificateKey], w.store.version = []byte("rubbish"), 77
	w.sync(k)
	if string(k.Authorities()) == first || !strings.Contains(strings.Join(w.steps, "\n"), "what is stored is not ours: tls.crt") {
		t.Errorf("rubbish was not replaced: %q", w.steps)
	}
	k.Names = []string{"other.svc"}
	w.sync(k)
	w.trusted = k.Authorities()
	if err := w.call(k); err != nil {
		t.Errorf("after a change of names: %v", err)
	}
}

func TestStoreFails(t *testing.T) {
	k := &Keeper{Store: broken{}, Names: []string{"a"}, Now: time.Now}
	if _, err := k.Sync(context.Background()); err == nil || !strings.Contains(err.Error(), "reading the certificates") {
		t.Error(err)
	}
	if _, err := k.TLS().GetCertificate(nil); err == nil || k.Authorities() != nil || !k.Expires().IsZero() {
		t.Error("something is served that nobody made")
	}
}

type broken struct{}

func (broken) Get(context.Context) (map[string][]byte, string, error) {
	return nil, "", errors.New("no route")
}
func (broken) Put(context.Context, map[string][]byte, string) error { return nil }

func TestLifetimes(t *testing.T) {
	if err := DefaultLifetimes().Check(); err != nil {
		t.Error(err)
	}
	for _, l := range []Lifetimes{{}, {time.Hour, 2 * time.Hour, time.Minute}, {time.Hour, time.Hour, 20 * time.Minute}} {
		if err := l.Check(); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// FuzzParse: an error or a bundle that is the same again when it is written and read.
func FuzzParse(f *testing.F) {
	b, err := begin([]string{"a.svc"}, time.Now(), DefaultLifetimes())
	if err != nil {
		f.Fatal(err)
	}
	data, _ := b.data()
	f.Add(data[keyAuthorities], data[keyAuthorityKeys], data[keyCertificate], data[keyCertificateKey])
	f.Add(data[keyCertificate], data[keyCertificateKey], data[keyAuthorities], data[keyAuthorityKeys])
	f.Add([]byte("x"), []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, ca, caKey, crt, key []byte) {
		b, err := parse(map[string][]byte{keyAuthorities: ca, keyAuthorityKeys: caKey, keyCertificate: crt, keyCertificateKey: key})
		if (err == nil) == (b == nil) {
			t.Fatalf("%v and %v", b, err)
		}
		if err != nil {
			if !errors.Is(err, seawall.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		data, err := b.data()
		if err != nil {
			return
		}
		again, err := parse(data)
		if err != nil || string(again.authorityPEM()) != string(b.authorityPEM()) {
			t.Fatal(err)
		}
	})
}
