package admission

import (
	"context"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// scans are the images that are to be scanned: each once at a time, however many
// reviews ask, and after a failure not again for a while.
type scans struct {
	config  *Config
	metrics *metrics
	queue   chan *scan
	waiting chan struct{}
	// done is told the digest of each image that was scanned.
	done func(digest string)

	mu     sync.Mutex
	asked  map[string]*scan // by digest
	failed *lru.Cache[string, failure]
}

type scan struct {
	image Image
	ended chan struct{}
}

type failure struct {
	err   error
	until time.Time
	wait  time.Duration
}

// After a failure an image is left alone, each time twice as long.
const firstRetry, lastRetry = 30 * time.Second, time.Hour

func newScans(c *Config, m *metrics) *scans {
	failed, _ := lru.New[string, failure](c.Limits.Images)
	return &scans{config: c, metrics: m, queue: make(chan *scan, c.Limits.Queue), waiting: make(chan struct{}, c.Limits.Waiting), asked: map[string]*scan{}, failed: failed}
}

// ask has an image scanned. The reason says why there is no verdict yet; it is "" where
// the scan was waited for and came to one. failed says that it was tried, and why not.
func (s *scans) ask(ctx context.Context, image Image, wait bool) (reason string, failed bool) {
	if s.config.Scanner == nil || s.config.Verdicts == nil {
		return "nobody scanned it", false
	}
	if f, ok := s.failed.Get(image.Digest); ok && s.config.Now().Before(f.until) {
		s.metrics.unknown.WithLabelValues("failed").Inc()
		return "its scan failed: " + f.err.Error(), true
	}
	job := s.enqueue(image)
	if job == nil {
		s.metrics.unknown.WithLabelValues("full").Inc()
		return "nobody scanned it, and too many others wait to be scanned", false
	}
	if !wait {
		s.metrics.unknown.WithLabelValues("queued").Inc()
		return "nobody scanned it yet; it is being scanned now", false
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		s.metrics.unknown.WithLabelValues("crowded").Inc()
		return "nobody scanned it yet, and too many others wait for scans", false
	}
	select {
	case <-job.ended:
	case <-ctx.Done():
		s.metrics.unknown.WithLabelValues("late").Inc()
		return "its scan takes longer than the API server waits; try again", false
	}
	s.metrics.unknown.WithLabelValues("waited").Inc()
	if f, ok := s.failed.Get(image.Digest); ok {
		return "its scan failed: " + f.err.Error(), true
	}
	return "", false
}

// again has an image scanned anew whose verdict is stale.
func (s *scans) again(image Image) {
	if f, ok := s.failed.Get(image.Digest); ok && s.config.Now().Before(f.until) {
		return
	}
	s.enqueue(image)
}

// enqueue is the image's scan, new or under way; nil where the queue is full.
func (s *scans) enqueue(image Image) *scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	if job := s.asked[image.Digest]; job != nil {
		return job
	}
	job := &scan{image, make(chan struct{})}
	select {
	case s.queue <- job:
		s.asked[image.Digest] = job
		return job
	default:
		return nil
	}
}

// run scans one image after another until ctx ends.
func (s *scans) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.queue:
			s.scan(ctx, job)
		}
	}
}

func (s *scans) scan(ctx context.Context, job *scan) {
	digest := job.image.Digest
	err := safely(s.config.Log, func() error { return s.verdict(ctx, job.image) })
	if err == nil {
		s.failed.Remove(digest)
		s.done(digest)
		s.metrics.scans.WithLabelValues("ok").Inc()
	} else if ctx.Err() == nil {
		f, _ := s.failed.Get(digest)
		f.err, f.wait = err, min(max(2*f.wait, firstRetry), lastRetry)
		f.until = s.config.Now().Add(f.wait)
		s.failed.Add(digest, f)
		s.metrics.scans.WithLabelValues("failed").Inc()
		s.config.Log.Warn("image not scanned", "image", job.image.Name, "error", err)
	}
	s.mu.Lock()
	delete(s.asked, digest)
	s.mu.Unlock()
	close(job.ended)
}

// verdict scans an image and keeps what it came to.
func (s *scans) verdict(ctx context.Context, image Image) error {
	v, err := s.config.Scanner.Scan(ctx, image)
	if err != nil {
		return err
	}
	if v.Digest != image.Digest {
		return errors.New("the scan is of another image, " + v.Digest)
	}
	return s.config.Verdicts.PutVerdict(ctx, v)
}
