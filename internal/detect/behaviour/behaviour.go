// Package behaviour finds workloads that use much more CPU, or send much more, than
// they are used to: mining, bulk download.
//
//	Usage of a container every half minute -> rates -> the workload's baseline -> Findings
//
// The baseline of a workload is a histogram of its containers' rates, in buckets a
// quarter apart, whose weights halve in a week. What is usual is its 99th percentile:
// after a day of warm-up that holds the day's peaks, so that load which comes and goes
// with the day is no news. A rate is unusual when it is several times that and above
// a floor. One that stays so, for a quarter of an hour of CPU or for some hundred
// megabytes, is a finding, once for an episode; what lasts a few minutes, such as a
// start or a batch, is none. The first minutes of a container are not looked at.
//
// Unusual rates are not learned while an episode lasts, so that an attack does not
// become the baseline; after a day they are, as a change that was meant.
//
// Known limits: nothing is said of a workload younger than a day, nor of one that
// already uses most of what it is allowed to; load that comes once a week may be told
// in the first weeks.
package behaviour

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules of findings.
const (
	RuleCPU    = "SW-USE-001"
	RuleEgress = "SW-USE-002"
)

// Rules explains the findings.
func Rules() []detect.Rule {
	return []detect.Rule{
		{
			ID: RuleCPU, Title: "A workload uses much more CPU than it is used to", Severity: seawall.SeverityMedium,
			Rationale: "Stolen computing time shows as load: for a quarter of an hour the container used several times what its workload usually does at its peaks. " +
				"Nothing is said of a workload younger than a day, nor of one that already uses most of what it may.",
			Remediation: "Look at what runs in it: a miner uses all the CPU it gets, steadily. A change that was meant is learned after a day.",
			References:  []string{"https://attack.mitre.org/techniques/T1496/"},
		},
		{
			ID: RuleEgress, Title: "A workload sends much more than it is used to", Severity: seawall.SeverityMedium,
			Rationale: "Whoever takes data along has to send it: the container sent some hundred megabytes more than its workload usually does at its peaks. " +
				"Nothing is said of a workload younger than a day, nor of data that leaves slowly.",
			Remediation: "Look at where it sends to and what it reads. A change that was meant is learned after a day.",
			References:  []string{"https://attack.mitre.org/techniques/T1048/"},
		},
	}
}

// Usage is what a container has used up to a time.
type Usage struct {
	Container *seawall.Container
	// CPU is the processor time since its start. Sent are the bytes sent, -1 where
	// that is not known.
	CPU  time.Duration
	Sent int64
	// Time is when it was read, Started the container's start.
	Time, Started time.Time
}

// Config are the thresholds; zero values are the defaults named.
type Config struct {
	// Warmup is how long a workload is only watched: 24 h. Young is how long a
	// container is not looked at after its start: 5 min.
	Warmup, Young time.Duration
	// CPUFactor times the usual, and CPUFloor cores more than it, is unusual: 3, 0.5.
	CPUFactor, CPUFloor float64
	// CPUFor is how long that has to last: 15 min.
	CPUFor time.Duration
	// EgressFactor times the usual, and EgressFloor bytes a second more than it, is unusual: 4, 256 KiB.
	EgressFactor, EgressFloor float64
	// EgressBytes over the usual is a finding: 256 MiB.
	EgressBytes float64
	// Accept is after how long what is unusual is learned: 24 h.
	Accept time.Duration
}

func (c Config) withDefaults() Config {
	c.Warmup, c.Young = cmp.Or(c.Warmup, 24*time.Hour), cmp.Or(c.Young, 5*time.Minute)
	c.CPUFactor, c.CPUFloor, c.CPUFor = cmp.Or(c.CPUFactor, 3), cmp.Or(c.CPUFloor, 0.5), cmp.Or(c.CPUFor, 15*time.Minute)
	c.EgressFactor, c.EgressFloor = cmp.Or(c.EgressFactor, 4), cmp.Or(c.EgressFloor, 256<<10)
	c.EgressBytes, c.Accept = cmp.Or(c.EgressBytes, 256<<20), cmp.Or(c.Accept, 24*time.Hour)
	return c
}

// The bounds: what is over them is not watched, and counted.
const (
	maxWorkloads  = 2048
	maxContainers = 8192
	// forget is after how long without news a container is gone, and a workload.
	forgetContainer = 10 * time.Minute
	forgetWorkload  = 14 * 24 * time.Hour
	// maxGap between two readings: over a longer one a rate says nothing.
	maxGap = 5 * time.Minute
)

// Behaviour keeps the baselines of workloads. It is used by one goroutine at a time.
type Behaviour struct {
	config     Config
	workloads  map[string]*baseline
	containers map[string]*container
	unwatched  int
	swept      time.Time
}

// baseline is what a workload is used to.
type baseline struct {
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	CPU    histogram `json:"cpu"`
	Egress histogram `json:"egress"`
}

// container is a container's last reading and its episodes.
type container struct {
	last        Usage
	cpu, egress episode
}

// episode is unusual use that has not ended.
type episode struct {
	since time.Time
	// amount is how much of it there was: seconds, or bytes over the usual.
	amount float64
	told   bool
}

// New returns a Behaviour that knows nobody.
func New(c Config) *Behaviour {
	return &Behaviour{config: c.withDefaults(), workloads: map[string]*baseline{}, containers: map[string]*container{}}
}

// Unwatched counts readings that the bounds left out.
func (b *Behaviour) Unwatched() int { return b.unwatched }

// Observe takes one reading. Readings of a container come in order.
func (b *Behaviour) Observe(u Usage) []seawall.Finding {
	if u.Container == nil {
		return nil
	}
	b.sweep(u.Time)
	k, c := b.entry(&u)
	if c == nil {
		return nil
	}
	last := c.last
	c.last = u
	gap := u.Time.Sub(last.Time)
	if last.Container == nil || gap <= 0 || gap > maxGap || u.CPU < last.CPU || u.Time.Sub(u.Started) < b.config.Young+gap {
		return nil
	}
	k.Last = u.Time
	learning := u.Time.Sub(k.First) < b.config.Warmup
	var found []seawall.Finding
	cores := (u.CPU - last.CPU).Seconds() / gap.Seconds()
	if usual, ok := b.cpu(k, c, cores, gap, u.Time, learning); ok {
		found = append(found, finding(&u, &Rules()[0], fmt.Sprintf("%.2f cores since %s, usually up to %.2f", cores, c.cpu.since.UTC().Format(time.RFC3339), usual)))
	}
	if u.Sent >= last.Sent && last.Sent >= 0 {
		rate := float64(u.Sent-last.Sent) / gap.Seconds()
		if usual, ok := b.egress(k, c, rate, gap, u.Time, learning); ok {
			found = append(found, finding(&u, &Rules()[1], fmt.Sprintf("%.0f MiB more than usual since %s, %.2f MiB/s where up to %.2f are usual",
				c.egress.amount/(1<<20), c.egress.since.UTC().Format(time.RFC3339), rate/(1<<20), usual/(1<<20))))
		}
	}
	return found
}

// cpu judges a rate of CPU; ok says that it is to be told, usual what is usual.
func (b *Behaviour) cpu(k *baseline, c *container, cores float64, gap time.Duration, now time.Time, learning bool) (usual float64, ok bool) {
	usual = k.CPU.quantile(0.99)
	unusual := !learning && cores > usual*b.config.CPUFactor && cores > usual+b.config.CPUFloor
	c.cpu.step(unusual, gap.Seconds(), 4*gap.Seconds(), now)
	if !unusual || now.Sub(c.cpu.since) > b.config.Accept {
		k.CPU.add(cores, gap, now)
	}
	return usual, c.cpu.tell(unusual && c.cpu.amount >= b.config.CPUFor.Seconds())
}

// egress judges a rate of sent bytes.
func (b *Behaviour) egress(k *baseline, c *container, rate float64, gap time.Duration, now time.Time, learning bool) (usual float64, ok bool) {
	usual = k.Egress.quantile(0.99)
	unusual := !learning && rate > usual*b.config.EgressFactor && rate > usual+b.config.EgressFloor
	c.egress.step(unusual, (rate-usual)*gap.Seconds(), b.config.EgressBytes*gap.Minutes()/10, now)
	if !unusual || now.Sub(c.egress.since) > b.config.Accept {
		k.Egress.add(rate, gap, now)
	}
	return usual, c.egress.tell(unusual && c.egress.amount >= b.config.EgressBytes)
}

// step adds to an episode, or takes away from it until it has ended.
func (e *episode) step(unusual bool, more, less float64, now time.Time) {
	switch {
	case unusual && e.amount == 0:
		*e = episode{since: now, amount: more}
	case unusual:
		e.amount += more
	default:
		if e.amount -= less; e.amount <= 0 {
			*e = episode{}
		}
	}
}

// tell says whether an episode is to be told: the first time it is ripe.
func (e *episode) tell(ripe bool) bool {
	if !ripe || e.told {
		return false
	}
	e.told = true
	return true
}

// entry finds or makes what is kept of a container and its workload; nil over the bounds.
func (b *Behaviour) entry(u *Usage) (*baseline, *container) {
	name := Workload(u.Container)
	k, c := b.workloads[name], b.containers[u.Container.ID]
	if k == nil && len(b.workloads) >= maxWorkloads || c == nil && len(b.containers) >= maxContainers {
		b.unwatched++
		return nil, nil
	}
	if k == nil {
		k = &baseline{First: u.Time, Last: u.Time}
		b.workloads[name] = k
	}
	if c == nil {
		c = &container{}
		b.containers[u.Container.ID] = c
	}
	return k, c
}

// Workload names whose baseline is a container's: the container of that name of the
// workload; an image outside of Kubernetes.
func Workload(c *seawall.Container) string {
	return cmp.Or(c.Workload, c.Namespace+"/"+c.Pod, c.Image) + " " + cmp.Or(c.Name, c.Image)
}

// sweep forgets what is gone, once a minute.
func (b *Behaviour) sweep(now time.Time) {
	if now.Sub(b.swept) < time.Minute {
		return
	}
	b.swept = now
	for id, c := range b.containers {
		if now.Sub(c.last.Time) > forgetContainer {
			delete(b.containers, id)
		}
	}
	for name, k := range b.workloads {
		if now.Sub(k.Last) > forgetWorkload {
			delete(b.workloads, name)
		}
	}
}

func finding(u *Usage, rule *detect.Rule, evidence string) seawall.Finding {
	c := u.Container
	f := seawall.Finding{
		Kind: seawall.KindRuntime, Rule: rule.ID, Status: seawall.StatusFail, Asset: "container:" + c.ID, Time: u.Time.UTC().Format(time.RFC3339Nano), Count: 1,
		Severity: rule.Severity, SeveritySource: "seawall", Evidence: evidence, Remediation: rule.Remediation, References: rule.References,
	}
	f.Title = cmp.Or(c.Workload, c.Pod, c.Name, c.ID) + strings.TrimPrefix(rule.Title, "A workload")
	if c.Pod != "" {
		f.Location = &seawall.Location{Resource: "Pod/" + c.Namespace + "/" + c.Pod}
		f.Locations = []seawall.Location{*f.Location}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", f.Rule, f.Asset, f.Time))
	f.ID = hex.EncodeToString(sum[:16])
	return f
}

// histogram counts seconds by rate, in buckets that grow by a quarter. Its weights
// halve in halfLife.
type histogram struct {
	// Weights are by bucket; the first one is for no use at all.
	Weights []float32 `json:"weights,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

const (
	halfLife   = 7 * 24 * time.Hour
	maxBuckets = 160
	growth     = 1.25
	smallest   = 1e-3 // the upper bound of the first bucket
)

// bucketOf is the bucket of a rate.
func bucketOf(rate float64) int {
	if rate <= smallest {
		return 0
	}
	return min(1+int(math.Log(rate/smallest)/math.Log(growth)), maxBuckets-1)
}

// add counts a rate for some time. Weights fade hourly.
func (h *histogram) add(rate float64, during time.Duration, now time.Time) {
	if h.At.IsZero() {
		h.At = now
	}
	if since := now.Sub(h.At); since >= time.Hour {
		fade := float32(math.Exp2(-since.Hours() / halfLife.Hours()))
		for i := range h.Weights {
			h.Weights[i] *= fade
		}
		h.At = now
	}
	i := bucketOf(rate)
	if i >= len(h.Weights) {
		h.Weights = append(h.Weights, make([]float32, i+1-len(h.Weights))...)
	}
	h.Weights[i] += float32(during.Seconds())
}

// quantile is the rate that is not exceeded for that part of the time: the upper
// bound of its bucket.
func (h *histogram) quantile(q float64) float64 {
	total := 0.0
	for _, w := range h.Weights {
		total += float64(w)
	}
	sum := 0.0
	for i, w := range h.Weights {
		if sum += float64(w); sum >= total*q && total > 0 {
			return smallest * math.Pow(growth, float64(i))
		}
	}
	return 0
}

// SchemaVersion is that of saved baselines.
const SchemaVersion = "seawall.behaviour/v1"

type saved struct {
	SchemaVersion string               `json:"schemaVersion"`
	Workloads     map[string]*baseline `json:"workloads"`
}

// Save writes the baselines, so that a restart is no warm-up.
func (b *Behaviour) Save(w io.Writer) error {
	return json.NewEncoder(w).Encode(saved{SchemaVersion, b.workloads})
}

// maxSaved bounds saved baselines.
const maxSaved = 16 << 20

// Load takes up saved baselines.
func (b *Behaviour) Load(r io.Reader) error {
	var s saved
	if err := json.NewDecoder(io.LimitReader(r, maxSaved)).Decode(&s); err != nil {
		return fmt.Errorf("baselines: %w: %w", err, seawall.ErrCorrupt)
	}
	if s.SchemaVersion != SchemaVersion {
		return fmt.Errorf("baselines: schema version %q, want %s: %w", s.SchemaVersion, SchemaVersion, seawall.ErrCorrupt)
	}
	if len(s.Workloads) > maxWorkloads {
		return fmt.Errorf("baselines of %d workloads: %w", len(s.Workloads), seawall.ErrBound)
	}
	for name, k := range s.Workloads {
		if k == nil || !k.CPU.sound() || !k.Egress.sound() {
			return fmt.Errorf("baseline of %q: %w", name, seawall.ErrCorrupt)
		}
	}
	if s.Workloads == nil {
		s.Workloads = map[string]*baseline{}
	}
	b.workloads = s.Workloads
	return nil
}

func (h *histogram) sound() bool {
	return len(h.Weights) <= maxBuckets && !slices.ContainsFunc(h.Weights, func(w float32) bool { return !(w >= 0 && w < math.MaxInt32) })
}
