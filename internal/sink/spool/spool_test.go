package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_WRITER"); dir != "" {
		writer(dir)
		return
	}
	testenv.Main(m)
}

func open(t *testing.T, dir string, max int64) *Queue {
	t.Helper()
	q, err := Open(dir, max)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func peek(t *testing.T, q *Queue, n int) []string {
	t.Helper()
	records, err := q.Peek(n, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, string(r))
	}
	return out
}

func add(t *testing.T, q *Queue, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := q.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// Records come in order over segments and restarts, each until it is acknowledged.
func TestQueueOrder(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 1000) // a segment is an eighth: about a dozen records
	written, taken := 0, 0
	for round := range 200 {
		for range round % 7 {
			add(t, q, fmt.Sprint(written))
			written++
		}
		got := peek(t, q, 4)
		for i, r := range got {
			if r != fmt.Sprint(taken+i) {
				t.Fatalf("round %d: %q, want %d", round, r, taken+i)
			}
		}
		n := min(len(got), round%5)
		if err := q.Ack(n); err != nil {
			t.Fatal(err)
		}
		taken += n
		if u := q.Usage(); u.Records != uint64(written-taken) {
			t.Fatalf("round %d: %d records, want %d", round, u.Records, written-taken)
		}
		if round%10 == 9 {
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = open(t, dir, 1000)
		}
		for written-taken > 40 { // keep below the bound
			if err := q.Ack(len(peek(t, q, 1))); err != nil {
				t.Fatal(err)
			}
			taken++
		}
	}
	for taken < written {
		n := len(peek(t, q, 100))
		if err := q.Ack(n); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		taken += n
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(files) > 0 || q.Usage().Bytes != 0 {
		t.Errorf("left: %v, %+v", files, q.Usage())
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func TestQueueBound(t *testing.T) {
	q := open(t, t.TempDir(), 100)
	defer q.Close()
	add(t, q, strings.Repeat("a", 40))
	if err := q.Append(make([]byte, 60)); !errors.Is(err, ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	add(t, q, "b")
	if err := q.Ack(2); err != nil {
		t.Fatal(err)
	}
	add(t, q, strings.Repeat("c", 92))
	if got := peek(t, q, 9); len(got) != 1 || got[0][0] != 'c' {
		t.Errorf("%q", got)
	}
	if _, err := Open(q.dir, 100); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
}

// A record cut short is dropped; those before it and those of later segments are not.
func TestQueueDamage(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 1<<20)
	add(t, q, "one", "two", "three")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, fmt.Sprintf("%020d%s", 0, suffix))
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, data[:len(data)-2], 0o600); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir, 1<<20)
	add(t, q, "four")
	if u := q.Usage(); u.Damaged != 1 {
		t.Errorf("%+v", u)
	}
	var got []string
	for {
		some := peek(t, q, 10)
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
		if err := q.Ack(len(some)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "four"}, got); diff != "" {
		t.Error(diff)
	}
	q.Close()
}

// FuzzQueue: whatever lies in the directory, the queue opens, gives back only what
// fits the bound, and works.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint8(0))
	f.Add([]byte{3, 0, 0, 0, 1, 2, 3, 4, 'a', 'b', 'c'}, []byte{1, 0, 0, 0, 0, 0, 0, 0}, uint8(0))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0}, []byte{1}, uint8(9))
	f.Fuzz(func(t *testing.T, segment, acked []byte, first uint8) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{fmt.Sprintf("%020d%s", first, suffix): segment, ackedFile: acked, "x" + suffix: segment} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		q, err := Open(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		if err := q.Append([]byte("last")); err != nil {
			t.Fatal(err)
		}
		last := ""
		for i := 0; ; i++ {
			records, err := q.Peek(3, 1<<20)
			if err != nil || i > len(segment)+2 {
				t.Fatal(i, err)
			}
			if len(records) == 0 {
				break
			}
			last = string(records[len(records)-1])
			if err := q.Ack(len(records)); err != nil {
				t.Fatal(err)
			}
		}
		if last != "last" && len(acked) != 8 {
			t.Errorf("the last record is %q", last)
		}
	})
}

// receiver takes records and fails as it is told.
type receiver struct {
	mu   sync.Mutex
	got  []string
	fail func(records []string) error
	more chan struct{}
}

func (r *receiver) deliver(_ context.Context, records [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, data := range records {
		texts = append(texts, string(data))
	}
	if r.fail != nil {
		if err := r.fail(texts); err != nil {
			return err
		}
	}
	r.got = append(r.got, texts...)
	select {
	case r.more <- struct{}{}:
	default:
	}
	return nil
}

func (r *receiver) wait(t *testing.T, n int) []string {
	t.Helper()
	for {
		r.mu.Lock()
		got := append([]string(nil), r.got...)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.more:
		case <-t.Context().Done():
			t.Fatalf("%d records, want %d", len(got), n)
		}
	}
}

func finding(id string) seawall.Message {
	return seawall.Message{Finding: &seawall.Finding{ID: id}}
}

func config(dir string, r *receiver) Config {
	r.more = make(chan struct{}, 1)
	return Config{
		Dir: dir, MaxBytes: 1 << 20, Batch: 3, Backoff: time.Millisecond, Deliver: r.deliver,
		Encode: func(m *seawall.Message) ([]byte, error) {
			if m.Finding == nil {
				return nil, nil
			}
			return []byte(m.Finding.ID), nil
		},
		Gap: func(n uint64) []byte { return fmt.Appendf(nil, "lost %d", n) },
	}
}

// A receiver that is away for a while, also over a restart, gets all in order.
func TestSpoolDelivers(t *testing.T) {
	dir := t.TempDir()
	away := &receiver{fail: func([]string) error { return errors.New("away") }}
	s, err := New(config(dir, away))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		if err := s.Handle(t.Context(), finding(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		want = append(want, strconv.Itoa(i))
	}
	if err := s.Handle(t.Context(), seawall.Message{Status: &seawall.CollectorStatus{}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, seawall.ErrTransient) || !strings.Contains(err.Error(), "20 messages") {
		t.Fatalf("closed with %v", err)
	}
	tries := 0
	back := &receiver{fail: func([]string) error {
		if tries++; tries%3 == 0 {
			return errors.New("hiccup")
		}
		return nil
	}}
	if s, err = New(config(dir, back)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, back.wait(t, 20)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c := s.Counters(); c.Delivered != 20 || c.Failures == 0 {
		t.Errorf("%+v", c)
	}
}

// What is refused for good does not hold up the rest.
func TestSpoolRejected(t *testing.T) {
	r := &receiver{fail: func(records []string) error {
		for _, text := range records {
			if text == "poison" {
				return &Rejected{errors.New("400")}
			}
		}
		return nil
	}}
	s, err := New(config(t.TempDir(), r))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "poison", "b", "c", "d"} {
		if err := s.Handle(t.Context(), finding(id)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, r.wait(t, 4)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c := s.Counters(); c.Rejected != 1 || c.Delivered != 4 || c.Last == nil {
		t.Errorf("%+v", c)
	}
}

// When the queue was full the receiver is told how much it missed, where it missed it.
func TestSpoolGap(t *testing.T) {
	allowed := make(chan struct{})
	r := &receiver{}
	cfg := config(t.TempDir(), r)
	cfg.MaxBytes, cfg.Batch = 3*(header+1), 1
	cfg.Deliver = func(ctx context.Context, records [][]byte) error {
		select {
		case <-allowed:
			return r.deliver(ctx, records)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		if err := s.Handle(t.Context(), finding(id)); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.Counters(); c.Dropped != 2 {
		t.Errorf("%+v", c)
	}
	close(allowed)
	r.wait(t, 3)
	for s.queue.Usage().Records > 0 { // the acknowledgement follows the delivery
		time.Sleep(time.Millisecond)
	}
	if err := s.Handle(t.Context(), finding("6")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "lost 2", "6"}, r.wait(t, 5)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// writer appends numbers for ever and prints each once it is in the queue.
func writer(dir string) {
	q, err := Open(dir, 1<<30)
	if err != nil {
		panic(err)
	}
	for n := q.next(); ; n++ {
		if err := q.Append(strconv.AppendUint(nil, n, 10)); err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// What was appended survives the process that was killed.
func TestQueueSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	told := uint64(0)
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SPOOL_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i := 0; i < 500*(round+1) && lines.Scan(); i++ {
			if told, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	q := open(t, dir, 1<<30)
	defer q.Close()
	next := uint64(0)
	for {
		records := peek(t, q, 100)
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if r != strconv.FormatUint(next, 10) {
				t.Fatalf("%q, want %d", r, next)
			}
			next++
		}
		if err := q.Ack(len(records)); err != nil {
			t.Fatal(err)
		}
	}
	if next <= told {
		t.Errorf("%d records, and %d was said to be in", next, told)
	}
}

func BenchmarkAppendAck(b *testing.B) {
	q, err := Open(b.TempDir(), 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	data := make([]byte, 1000)
	for b.Loop() {
		if err := q.Append(data); err != nil {
			b.Fatal(err)
		}
		if u := q.Usage(); u.Records >= 100 {
			records, err := q.Peek(100, 1<<20)
			if err != nil || q.Ack(len(records)) != nil {
				b.Fatal(err)
			}
		}
	}
}
