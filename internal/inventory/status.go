package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// WalkStatus is the name under which directories are reported that could not be read.
const WalkStatus = "walk"

// statuses says how each collector fared over all layers.
func statuses(asset string, collectors []Collector, layers []*LayerFacts, found []int, joined []joinTally) []seawall.CollectorStatus {
	out := make([]seawall.CollectorStatus, 0, len(collectors)+1)
	for i, c := range collectors {
		var problems Problems
		spent, failed := joined[i].spent, joined[i].failed
		for _, l := range layers {
			t := &l.Tallies[i]
			spent += t.Spent
			problems.addAll(t.Problems)
			if failed == "" {
				failed = t.Failed
			}
		}
		problems.addAll(joined[i].problems)
		s := status(asset, c.Name(), problems)
		if failed != "" {
			s.Status, s.Reason = seawall.RunFailed, failed
		}
		s.Found, s.MS = found[i], milliseconds(spent)
		out = append(out, s)
	}
	var missed Problems
	for _, l := range layers {
		missed.addAll(l.Missed)
	}
	if missed.Count > 0 {
		out = append(out, status(asset, WalkStatus, missed))
	}
	return out
}

func status(asset, name string, problems Problems) seawall.CollectorStatus {
	s := seawall.CollectorStatus{Asset: asset, Name: name, Status: seawall.RunOK}
	if problems.Count > 0 {
		s.Status, s.Reason = seawall.RunPartial, problems.String()
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// recoverJoin runs one joiner and turns a panic into an error.
func recoverJoin(ctx context.Context, j Joiner, m *Merged) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return j.Join(ctx, m)
}

// describe adds what the target states about itself and says how complete it
// is, under the name of the asset's kind.
func (m *Merged) describe(ctx context.Context, d seawall.Describer) (seawall.CollectorStatus, error) {
	start := time.Now()
	facts, err := d.Facts(ctx)
	var missed seawall.Incomplete
	if err != nil && !errors.As(err, &missed) {
		return seawall.CollectorStatus{}, err
	}
	m.add(facts, &placer{}, "", func(*seawall.Package) string { return "" })
	var problems Problems
	for _, e := range missed {
		problems.add("", e.Error())
	}
	s := status(m.Asset.ID, string(m.Asset.Kind), problems)
	s.Found, s.MS = len(m.Objects), milliseconds(time.Since(start))
	return s, nil
}
