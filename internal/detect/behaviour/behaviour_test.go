package behaviour

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

func start() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// load is what a container does at a time: cores, and bytes a second.
type load func(at time.Duration) (cores, sent float64)

// series feeds a workload's load to b, every 30 seconds, and returns what was found when.
func series(b *Behaviour, id string, from, to time.Duration, l load) (found []string) {
	c := &seawall.Container{ID: id, Name: "app", Workload: "Deployment/shop/web", Namespace: "shop", Pod: "web-" + id}
	cpu, sent := time.Duration(0), 0.0
	const step = 30 * time.Second
	for at := from; at <= to; at += step {
		cores, rate := l(at)
		cpu += time.Duration(cores * float64(step))
		sent += rate * step.Seconds()
		for _, f := range b.Observe(Usage{Container: c, CPU: cpu, Sent: int64(sent), Time: start().Add(at), Started: start().Add(from)}) {
			found = append(found, fmt.Sprintf("%s at %v", f.Rule, at))
		}
	}
	return found
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// diurnal is a web server's day: a tenth at night, all of it in the evening, with noise.
func diurnal(r *rand.Rand) load {
	return func(at time.Duration) (float64, float64) {
		wave := 0.55 - 0.45*math.Cos(2*math.Pi*at.Hours()/24)
		noise := 0.7 + 0.6*r.Float64()
		return 0.4 * wave * noise, 300e3 * wave * noise
	}
}

func random() *rand.Rand { return rand.New(rand.NewPCG(3, 4)) }

// TestSilent: ordinary life of workloads is no finding.
func TestSilent(t *testing.T) {
	for name, l := range map[string]load{
		"diurnal": diurnal(random()),
		"idle, then a few minutes of a batch every night": func(at time.Duration) (float64, float64) {
			if at%day > 2*hour && at%day < 2*hour+8*time.Minute {
				return 2, 100e3
			}
			return 0.01, 1e3
		},
		"an hour of batch every night": func(at time.Duration) (float64, float64) {
			if at%day > 2*hour && at%day < 3*hour {
				return 4, 20e6
			}
			return 0.01, 1e3
		},
		"slow growth, doubled in a week": func(at time.Duration) (float64, float64) {
			g := math.Exp2(at.Hours() / (7 * 24))
			return 0.5 * g, 400e3 * g
		},
		"noise over three orders of magnitude": func() load {
			r := random()
			return func(time.Duration) (float64, float64) {
				return 0.001 * math.Pow(1000, r.Float64()), 1e3 * math.Pow(1000, r.Float64())
			}
		}(),
		"busy from the start": func(time.Duration) (float64, float64) { return 3.5, 50e6 },
		"a minute of collecting garbage each hour": func(at time.Duration) (float64, float64) {
			if at%hour < time.Minute {
				return 4, 1e3
			}
			return 0.2, 1e3
		},
	} {
		if found := series(New(Config{}), "a", 0, 10*day, l); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestDeploys: new containers of a known workload, busy while they start and warm
// their caches, are no finding, however many.
func TestDeploys(t *testing.T) {
	b := New(Config{})
	usual := diurnal(random())
	for i := range 40 {
		from := time.Duration(i) * 6 * hour
		found := series(b, fmt.Sprint(i), from, from+6*hour, func(at time.Duration) (float64, float64) {
			if at-from < 9*time.Minute {
				return 4, 30e6 * float64(boolToInt(at-from < 2*time.Minute))
			}
			return usual(at)
		})
		if len(found) > 0 {
			t.Errorf("deploy %d: %v", i, found)
		}
	}
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFound: a miner and a bulk download on top of ordinary life are found, once, in time.
func TestFound(t *testing.T) {
	const from = 3*day + 4*hour + 30*time.Second
	for name, tc := range map[string]struct {
		more   load
		rule   string
		within time.Duration
	}{
		"a miner":             {func(time.Duration) (float64, float64) { return 3, 200 }, RuleCPU, 20 * time.Minute},
		"a miner of one core": {func(time.Duration) (float64, float64) { return 1.8, 200 }, RuleCPU, 20 * time.Minute},
		"a miner that rests": {func(at time.Duration) (float64, float64) {
			return 3 * float64(boolToInt(at%(10*time.Minute) > time.Minute)), 200
		}, RuleCPU, 40 * time.Minute},
		"a database that leaves": {func(time.Duration) (float64, float64) { return 0, 20e6 }, RuleEgress, 5 * time.Minute},
		"one that leaves slowly": {func(time.Duration) (float64, float64) { return 0, 3e6 }, RuleEgress, 10 * time.Minute},
	} {
		usual := diurnal(random())
		found := series(New(Config{}), "a", 0, from+8*hour, func(at time.Duration) (float64, float64) {
			cores, sent := usual(at)
			if at >= from {
				more, moreSent := tc.more(at)
				cores, sent = cores+more, sent+moreSent
			}
			return cores, sent
		})
		if len(found) != 1 || !strings.HasPrefix(found[0], tc.rule) {
			t.Errorf("%s: %v", name, found)
			continue
		}
		_, after, _ := strings.Cut(found[0], " at ")
		if at, err := time.ParseDuration(after); err != nil || at < from || at > from+tc.within {
			t.Errorf("%s from %v on: %v", name, from, found)
		}
	}
}

// TestLearned: a change that lasts is told once and then is the baseline; a second
// episode before that is told again.
func TestLearned(t *testing.T) {
	found := series(New(Config{}), "a", 0, 20*day, func(at time.Duration) (float64, float64) {
		if at > 2*day {
			return 3, 1e3
		}
		return 0.1, 1e3
	})
	if len(found) != 1 {
		t.Errorf("a change: %v", found)
	}
	found = series(New(Config{}), "a", 0, 3*day, func(at time.Duration) (float64, float64) {
		if at > 2*day && at%(6*hour) < hour {
			return 3, 1e3
		}
		return 0.1, 1e3
	})
	if len(found) != 4 {
		t.Errorf("four episodes: %v", found)
	}
}

// TestWarmup: nothing is said on the first day, and a restart is no first day.
func TestWarmup(t *testing.T) {
	miner := func(at time.Duration) (float64, float64) { return 3 * float64(boolToInt(at%day > 12*hour)), 0 }
	b := New(Config{})
	if found := series(b, "a", 0, day-time.Minute, miner); len(found) > 0 {
		t.Errorf("while learning: %v", found)
	}
	b = New(Config{})
	series(b, "a", 0, 2*day, func(time.Duration) (float64, float64) { return 0.1, 0 })
	var file bytes.Buffer
	if err := b.Save(&file); err != nil {
		t.Fatal(err)
	}
	b = New(Config{})
	if err := b.Load(&file); err != nil {
		t.Fatal(err)
	}
	if found := series(b, "b", 2*day, 3*day, miner); len(found) != 1 {
		t.Errorf("after a restart: %v", found)
	}
}

// TestReadings: gaps, counters that go back and unknown counters are no rates.
func TestReadings(t *testing.T) {
	b := New(Config{Warmup: time.Nanosecond, Young: time.Nanosecond, CPUFor: time.Second, EgressBytes: 1})
	c := &seawall.Container{ID: "a", Name: "app"}
	at := start()
	for i, u := range []Usage{
		{CPU: 0, Sent: 0}, {CPU: time.Hour, Sent: 1 << 40, Time: at.Add(hour)}, {CPU: time.Minute, Sent: 1, Time: at.Add(hour + time.Minute)},
		{CPU: time.Minute, Sent: -1, Time: at.Add(hour + 2*time.Minute)}, {CPU: time.Minute, Sent: 1 << 50, Time: at.Add(hour + 3*time.Minute)},
		{CPU: 9 * time.Hour, Sent: 1 << 50, Time: at.Add(hour + 3*time.Minute)},
	} {
		u.Container, u.Started = c, at.Add(-day)
		if u.Time.IsZero() {
			u.Time = at
		}
		if found := b.Observe(u); len(found) > 0 {
			t.Errorf("reading %d: %+v", i, found)
		}
	}
	if found := b.Observe(Usage{}); found != nil {
		t.Error("no container")
	}
}

// TestBounds: state does not grow with what is gone, and what is over is counted.
func TestBounds(t *testing.T) {
	b := New(Config{})
	for i := range maxWorkloads + 10 {
		b.Observe(Usage{Container: &seawall.Container{ID: fmt.Sprint(i), Name: "app", Workload: fmt.Sprint(i)}, Time: start()})
	}
	if len(b.workloads) != maxWorkloads || b.Unwatched() != 10 {
		t.Errorf("%d workloads, %d unwatched", len(b.workloads), b.Unwatched())
	}
	b.Observe(Usage{Container: &seawall.Container{ID: "x", Name: "app", Workload: "x"}, Time: start().Add(15 * day)})
	if len(b.workloads) != 1 || len(b.containers) != 1 {
		t.Errorf("%d workloads, %d containers after two weeks", len(b.workloads), len(b.containers))
	}
}

func FuzzLoad(f *testing.F) {
	b := New(Config{})
	series(b, "a", 0, hour, diurnal(random()))
	var file bytes.Buffer
	if err := b.Save(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(`{"schemaVersion":"seawall.behaviour/v1","workloads":{"a":null}}`))
	f.Add([]byte(`{"schemaVersion":"seawall.behaviour/v1","workloads":{"a":{"cpu":{"weights":[-1]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := New(Config{})
		if err := b.Load(bytes.NewReader(data)); err != nil {
			if len(b.workloads) > 0 || !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrBound) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		series(b, "a", 0, 10*time.Minute, func(time.Duration) (float64, float64) { return 1, 1 })
		for name, k := range b.workloads {
			if q := k.CPU.quantile(0.99); math.IsNaN(q) || q < 0 {
				t.Errorf("%s: %v", name, q)
			}
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	behaviour := New(Config{})
	c := &seawall.Container{ID: "a", Name: "app", Workload: "w"}
	series(behaviour, "a", 0, 2*day, diurnal(random()))
	i := 0
	for b.Loop() {
		i++
		behaviour.Observe(Usage{Container: c, CPU: time.Duration(i) * time.Second, Sent: int64(i) * 1000, Time: start().Add(time.Duration(i) * 30 * time.Second), Started: start().Add(-day)})
	}
}
