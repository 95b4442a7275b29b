package syscalls

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/integrity"
	"github.com/seawall-security/seawall/internal/sensor/node"
	"github.com/seawall-security/seawall/internal/sensor/node/inuse"
)

// InUse keeps a file of what is in use by image: a Watcher and an agent.Finder that
// finds nothing.
type InUse struct {
	// File is replaced as a whole, Every so often and at the end; 0 is half a minute.
	File  string
	Every time.Duration
	Now   func() time.Time

	*inuse.Recorder
}

// NewInUse begins a recording.
func NewInUse(file, nodeName string, now func() time.Time) (*InUse, error) {
	u := &InUse{File: file, Every: 30 * time.Second, Now: now, Recorder: inuse.New(nodeName, now())}
	return u, u.write()
}

// Name implements agent.Finder.
func (*InUse) Name() string { return "in use" }

// Filter implements Watcher.
func (*InUse) Filter(f seawall.EventFilter) seawall.EventFilter { return inuse.Filter(f) }

// Run implements agent.Finder.
func (u *InUse) Run(ctx context.Context, _ func(seawall.Finding, seawall.Subject)) error {
	tick := time.NewTicker(u.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return u.write()
		case <-tick.C:
			if err := u.write(); err != nil {
				return err
			}
		}
	}
}

func (u *InUse) write() error {
	var data bytes.Buffer
	err := u.Write(&data, u.Now())
	if err == nil {
		err = os.WriteFile(u.File+".new", data.Bytes(), 0o644)
	}
	if err == nil {
		err = os.Rename(u.File+".new", u.File)
	}
	if err != nil {
		return fmt.Errorf("what is in use: %w", err)
	}
	return nil
}

// Files tells changes of files against a baseline, with who made them: a Watcher and
// an agent.Finder.
type Files struct {
	*integrity.Watch
	now func() time.Time
}

// settle is how long nothing is done to a file before it is read.
const settle = 2 * time.Second

// NewFiles watches the trees of a baseline.
func NewFiles(b *integrity.Baseline, nodeName string, now func() time.Time) *Files {
	return &Files{integrity.NewWatch(b, "", "node:"+nodeName, settle), now}
}

// Name implements agent.Finder.
func (*Files) Name() string { return "integrity" }

// Filter implements Watcher.
func (w *Files) Filter(f seawall.EventFilter) seawall.EventFilter {
	if f.Types != nil {
		f.Types = append(f.Types[:len(f.Types):len(f.Types)], integrity.Types()...)
	}
	if more := w.Writes(); f.Writes != nil {
		f.Writes = &seawall.PathFilter{
			Prefixes: append(f.Writes.Prefixes[:len(f.Writes.Prefixes):len(f.Writes.Prefixes)], more.Prefixes...),
			Suffixes: append(f.Writes.Suffixes[:len(f.Writes.Suffixes):len(f.Writes.Suffixes)], more.Suffixes...),
		}
	}
	return f
}

// Observe implements Watcher.
func (w *Files) Observe(e *node.Event) { w.Watch.Observe(e, w.now()) }

// Run implements agent.Finder.
func (w *Files) Run(ctx context.Context, tell func(seawall.Finding, seawall.Subject)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		w.Check(ctx, w.now())
		found, lost := w.Findings()
		for _, f := range found {
			tell(f, seawall.Subject{})
		}
		if lost > 0 {
			tell(seawall.Finding{
				Kind: seawall.KindIntegrity, Rule: integrity.RuleUnread, Status: seawall.StatusNotEvaluated, Time: w.now().UTC().Format(time.RFC3339Nano),
				Title: "Changes of files were too many to look at", Reason: fmt.Sprintf("%d changes were lost", lost), Evidence: fmt.Sprint(lost),
			}, seawall.Subject{})
		}
	}
}
