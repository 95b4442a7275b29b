// Package spool delivers a stream to a receiver that may be away: what a message
// comes to is written to a bounded queue on disk and taken from there in order,
// each record until the receiver has acknowledged it.
//
//	Handle -> Encode -> Queue (disk) -> Deliver -> Ack
//
// A record is delivered at least once: after a failure, and after the process was
// killed, the last ones may come again. When the queue is full new messages are
// dropped and counted, and where there is room again a record says how many
// (Config.Gap): a receiver sees that it has not seen everything.
package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Rejected is an error of Deliver for records the receiver will never take: they
// are dropped and counted.
type Rejected struct{ Err error }

// Error implements error.
func (r *Rejected) Error() string { return "rejected: " + r.Err.Error() }

// Unwrap returns the cause.
func (r *Rejected) Unwrap() error { return r.Err }

// Config is what a Spool is made of.
type Config struct {
	// Dir is where the queue lies, MaxBytes its bound.
	Dir      string
	MaxBytes int64
	// Encode makes the record of a message; nil where the receiver gets none.
	Encode func(m *seawall.Message) ([]byte, error)
	// Gap makes the record that stands for lost messages; nil writes none.
	Gap func(lost uint64) []byte
	// Deliver hands over records, the oldest first: all, or an error. It returns when ctx ends.
	Deliver func(ctx context.Context, records [][]byte) error
	// Batch is how many records Deliver gets at most; 0 is one.
	Batch int
	// Backoff is how long to wait after the first failure; it doubles up to a minute. 0 is half a second.
	Backoff time.Duration
	// Grace is how long Close waits for what is left; 0 is two seconds.
	Grace time.Duration
}

// maxBatch bounds the bytes of one delivery, beyond one record.
const maxBatch = 1 << 20

// Spool is a handler of messages; it implements sink.Handler.
type Spool struct {
	Config
	queue *Queue
	wake  chan struct{}
	stop  context.CancelFunc
	done  sync.WaitGroup
	lost  uint64 // since the last record; of Handle alone
	count struct{ delivered, dropped, rejected, failures atomic.Uint64 }
	last  atomic.Pointer[error]
}

// New opens the queue and begins to deliver what is in it.
func New(cfg Config) (*Spool, error) {
	cfg.Batch = max(cfg.Batch, 1)
	if cfg.Backoff == 0 {
		cfg.Backoff = 500 * time.Millisecond
	}
	if cfg.Grace == 0 {
		cfg.Grace = 2 * time.Second
	}
	q, err := Open(cfg.Dir, cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Spool{Config: cfg, queue: q, wake: make(chan struct{}, 1), stop: cancel}
	s.done.Go(func() { s.deliver(ctx) })
	return s, nil
}

// Handle queues what the message comes to. A full queue is no error: the message
// is dropped and counted.
func (s *Spool) Handle(_ context.Context, m seawall.Message) error {
	data, err := s.Encode(&m)
	if err != nil || data == nil {
		return err
	}
	if s.lost > 0 && s.Gap != nil {
		if err := s.queue.Append(s.Gap(s.lost)); err != nil {
			return s.drop(err)
		}
		s.lost = 0
	}
	if err := s.queue.Append(data); err != nil {
		return s.drop(err)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *Spool) drop(err error) error {
	s.lost++
	s.count.dropped.Add(1)
	if errors.Is(err, ErrFull) {
		return nil
	}
	return err
}

// deliver hands records over until ctx ends.
func (s *Spool) deliver(ctx context.Context) {
	wait := s.Backoff
	for ctx.Err() == nil {
		n, err := s.once(ctx, s.Batch)
		switch {
		case err != nil:
			s.count.failures.Add(1)
			s.last.Store(&err)
			sleep(ctx, wait)
			wait = min(2*wait, time.Minute)
		case n == 0:
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		default:
			wait = s.Backoff
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// once delivers the oldest records and tells how many are done with. Of a batch
// that is rejected each record is tried alone.
func (s *Spool) once(ctx context.Context, batch int) (int, error) {
	records, err := s.queue.Peek(batch, maxBatch)
	if err != nil || len(records) == 0 {
		return 0, err
	}
	err = s.Deliver(ctx, records)
	var rejected *Rejected
	switch {
	case err == nil:
		s.count.delivered.Add(uint64(len(records)))
	case errors.As(err, &rejected) && len(records) > 1:
		for range records {
			if _, err := s.once(ctx, 1); err != nil {
				return 0, err
			}
		}
		return len(records), nil
	case errors.As(err, &rejected):
		s.count.rejected.Add(1)
		s.last.Store(&err)
	default:
		return 0, err
	}
	return len(records), s.queue.Ack(len(records))
}

// Counters tell how delivery goes.
type Counters struct {
	// Delivered were acknowledged. Dropped found the queue full, Rejected were refused for good.
	Delivered, Dropped, Rejected uint64
	// Failures counts tries that will be made again; Last is the newest error.
	Failures uint64
	Last     error
	Usage
}

// Counters tells how delivery goes.
func (s *Spool) Counters() Counters {
	c := Counters{
		Delivered: s.count.delivered.Load(), Dropped: s.count.dropped.Load(), Rejected: s.count.rejected.Load(), Failures: s.count.failures.Load(),
		Usage: s.queue.Usage(),
	}
	if err := s.last.Load(); err != nil {
		c.Last = *err
	}
	return c
}

// Close gives the receiver a moment to take what is left; the rest stays on disk
// for the next process.
func (s *Spool) Close() error {
	s.stop()
	s.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), s.Grace)
	defer cancel()
	for {
		n, err := s.once(ctx, s.Batch)
		if err != nil || n == 0 {
			break // it is on disk
		}
	}
	left := s.queue.Usage().Records
	err := s.queue.Close()
	if left > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages are kept in %s for the next start: %w", left, s.Dir, seawall.ErrTransient))
	}
	return err
}
