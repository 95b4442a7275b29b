package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// How long answers are kept: a tag may move, a key may be revoked, another replica may
// have scanned. What went wrong is tried again soon.
const (
	keepDigest    = 5 * time.Minute
	keepSignature = 30 * time.Minute
	keepUnsigned  = time.Minute
	keepVerdict   = 5 * time.Minute
	keepError     = 30 * time.Second
)

// cache keeps answers for a while, and asks once for all who want the same at a time.
type cache[T any] struct {
	name    string
	entries *lru.Cache[string, entry[T]]
	// weigh is how many findings an answer holds, held how many all do, most how many may.
	weigh  func(T) int
	held   atomic.Int64
	most   int64
	flight singleflight.Group
	now    func() time.Time
	log    *slog.Logger
	hit    func(cache string, hit bool)
}

type entry[T any] struct {
	value T
	err   error
	until time.Time
}

func newCache[T any](name string, c *Config, m *metrics, weigh func(T) int) (*cache[T], error) {
	k := &cache[T]{name: name, now: c.Now, log: c.Log, hit: m.cached, weigh: weigh, most: int64(c.Limits.Findings)}
	var err error
	k.entries, err = lru.NewWithEvict(c.Limits.Images, func(_ string, e entry[T]) { k.held.Add(-int64(weigh(e.value))) })
	if err != nil {
		return nil, fmt.Errorf("limits: images %d: %w", c.Limits.Images, err)
	}
	return k, nil
}

// nothing is the weight of answers without findings.
func nothing[T any](T) int { return 0 }

// keep keeps an answer, and lets the ones go that were not asked for the longest.
func (c *cache[T]) keep(key string, e entry[T]) {
	c.entries.Remove(key)
	c.held.Add(int64(c.weigh(e.value)))
	c.entries.Add(key, e)
	for c.held.Load() > c.most && c.entries.Len() > 1 {
		c.entries.RemoveOldest()
	}
}

// get is the answer to a key: a kept one, or ask's, which says how long it may be kept.
// Who waits for another's question gives up with its own context.
func (c *cache[T]) get(ctx context.Context, key string, ask func(context.Context) (T, time.Duration, error)) (T, error) {
	if e, ok := c.entries.Get(key); ok && c.now().Before(e.until) {
		c.hit(c.name, true)
		return e.value, e.err
	}
	c.hit(c.name, false)
	answer := c.flight.DoChan(key, func() (any, error) {
		// The question is everybody's: it outlives who asked first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxAsk)
		defer cancel()
		var value T
		var keep time.Duration
		err := safely(c.log, func() (err error) {
			value, keep, err = ask(ctx)
			return err
		})
		if err != nil {
			keep = keepError
		}
		e := entry[T]{value, err, c.now().Add(keep)}
		if keep > 0 {
			c.keep(key, e)
		}
		return e, nil
	})
	select {
	case r := <-answer:
		e := r.Val.(entry[T])
		return e.value, e.err
	case <-ctx.Done():
		// The next ones do not wait as long again. An answer that comes yet takes this one's place.
		var none T
		err := errors.New("no answer in time")
		if e, ok := c.entries.Peek(key); !ok || !c.now().Before(e.until) {
			c.keep(key, entry[T]{none, err, c.now().Add(keepError)})
		}
		return none, err
	}
}

// safely makes a panic an error: it must not take down others' reviews. What it says
// may quote objects, and is for the log.
func safely(log *slog.Logger, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errInternal
		}
	}()
	return do()
}

// errInternal is all that users are told of a panic.
var errInternal = errors.New("an internal error")

// maxAsk bounds a question to a registry or the store.
const maxAsk = 30 * time.Second

// images is what is known of images.
type images struct {
	config   *Config
	digests  *cache[string]
	signed   *cache[*seawall.Verification]
	verdicts *cache[*verdict]
	scans    *scans
}

// verdict is a stored one, prepared for a set's decisions.
type verdict struct {
	// image has what a scan says, by no name.
	image     policy.Image
	firstSeen map[string]time.Time
	set       *policy.Set
	stale     bool
}

// weight is how many findings a verdict holds.
func (v *verdict) weight() int {
	if v == nil {
		return 0
	}
	return len(v.image.Scan.Findings)
}

func newImages(c *Config, m *metrics) (*images, error) {
	i := &images{config: c, scans: newScans(c, m)}
	var errs [3]error
	i.digests, errs[0] = newCache("digest", c, m, nothing[string])
	i.signed, errs[1] = newCache("signature", c, m, nothing[*seawall.Verification])
	i.verdicts, errs[2] = newCache("verdict", c, m, (*verdict).weight)
	i.scans.done = func(digest string) { i.verdicts.entries.Remove(digest) }
	return i, errors.Join(errs[:]...)
}

// learn fills in what the policies want to know of an image. wait says whether one that
// nobody scanned is waited for, until ctx ends.
func (i *images) learn(ctx context.Context, image *policy.Image, from Image, set *policy.Set, wants *policy.Wants, wait bool) map[string]time.Time {
	scans := wants.Scans()
	if !scans && !wants.Signature && !wants.Digest {
		return nil
	}
	if image.Digest == "" {
		digest, err := i.resolve(ctx, from)
		if err != nil {
			image.Unreached = err.Error()
			if scans {
				image.Unscanned, image.Unscannable = "nobody can tell which image it is: "+err.Error(), i.config.Resolver != nil
			}
			return nil
		}
		image.Digest = digest
	}
	from.Digest = image.Digest
	from.Name = pinned(from.Name, image.Digest)
	if wants.Signature {
		i.verify(ctx, image, from)
	}
	if scans {
		return i.scanned(ctx, image, from, set, wait)
	}
	return nil
}

// pinned is a reference with a digest.
func pinned(name, digest string) string {
	named := policy.NamedImage(name)
	if named.Digest != "" {
		return named.Name
	}
	return named.Name + "@" + digest
}

// resolve is the digest that a reference has now.
func (i *images) resolve(ctx context.Context, from Image) (string, error) {
	if named := policy.NamedImage(from.Name); named.Digest != "" {
		return named.Digest, nil
	}
	if i.config.Resolver == nil {
		return "", errors.New("nobody here asks registries what tags are")
	}
	return i.digests.get(ctx, from.key(from.Name), func(ctx context.Context) (string, time.Duration, error) {
		digest, err := i.config.Resolver.Resolve(ctx, from)
		return digest, keepDigest, err
	})
}

// key tells apart what one who pulls may see from what another may.
func (i *Image) key(name string) string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%q", name, i.Namespace, i.ServiceAccount, i.PullSecrets)
}

func (i *images) verify(ctx context.Context, image *policy.Image, from Image) {
	if i.config.Verifier == nil {
		return
	}
	v, err := i.signed.get(ctx, from.key(from.Name), func(ctx context.Context) (*seawall.Verification, time.Duration, error) {
		v, err := i.config.Verifier.Verify(ctx, from)
		switch {
		case err != nil:
			return nil, 0, err
		case v.Error != "":
			return nil, 0, errors.New(v.Error)
		case v.Verified:
			return v, keepSignature, nil
		}
		return v, keepUnsigned, nil
	})
	if err != nil {
		image.Unreached = err.Error()
		return
	}
	signer := ""
	if len(v.Signatures) > 0 {
		signer = v.Signatures[0].Signer
	}
	image.Signed, image.Signer = &v.Verified, &signer
}

// scanned fills in what a scan said of an image, and has it scanned where none did.
func (i *images) scanned(ctx context.Context, image *policy.Image, from Image, set *policy.Set, wait bool) map[string]time.Time {
	v, err := i.verdict(ctx, image.Digest, set)
	if err == nil && v == nil {
		if image.Unscanned, image.Unscannable = i.scans.ask(ctx, from, wait); image.Unscanned == "" {
			v, err = i.verdict(ctx, image.Digest, set)
		}
	}
	if err != nil {
		image.Unscanned, image.Unscannable = "its scan is not known: "+err.Error(), true
	}
	if v == nil {
		return nil
	}
	if v.stale {
		i.scans.again(from)
	}
	known := &v.image
	image.Scan, image.Base, image.Age, image.Packages, image.Counts = known.Scan, known.Base, known.Age, known.Packages, known.Counts
	image.Labels, image.User = known.Labels, known.User
	if image.Signed == nil && i.config.Verifier == nil {
		image.Signed, image.Signer = known.Signed, known.Signer
	}
	return v.firstSeen
}

// verdict is the stored one of an image, prepared for a set; nil where nobody scanned it.
func (i *images) verdict(ctx context.Context, digest string, set *policy.Set) (*verdict, error) {
	if i.config.Verdicts == nil {
		return nil, nil
	}
	load := func(ctx context.Context) (*verdict, time.Duration, error) {
		stored, err := i.config.Verdicts.Verdict(ctx, digest)
		if errors.Is(err, store.ErrNotFound) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		return i.prepare(stored, set), keepVerdict, nil
	}
	v, err := i.verdicts.get(ctx, digest, load)
	if v != nil && v.set != set { // other policies came: they ask about other findings
		i.verdicts.entries.Remove(digest)
		v, err = i.verdicts.get(ctx, digest, load)
	}
	if v != nil && v.set != set { // and others yet
		stored, err := i.config.Verdicts.Verdict(ctx, digest)
		if err != nil {
			return nil, err
		}
		return i.prepare(stored, set), nil
	}
	return v, err
}

// prepare keeps of a verdict what decisions by a set may need.
func (i *images) prepare(stored *store.Verdict, set *policy.Set) *verdict {
	now := i.config.Now()
	asset := stored.Asset
	if asset.Image == nil {
		asset.Image = &seawall.ImageInfo{}
	}
	v := &verdict{set: set, image: policy.ScannedImage(&asset, stored.Packages, stored.Findings, now)}
	v.stale = i.config.Scanner != nil && i.config.Scanner.Stale(stored, now)
	v.image.Scan = set.Scanned(policy.PhaseDeploy, &asset, stored.Findings)
	for k := range v.image.Scan.Findings {
		id := v.image.Scan.Findings[k].ID
		if t, ok := stored.FirstSeen[id]; ok {
			if v.firstSeen == nil {
				v.firstSeen = map[string]time.Time{}
			}
			v.firstSeen[id] = t
		}
	}
	return v
}
