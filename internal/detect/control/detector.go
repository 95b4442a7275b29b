package control

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/misconfig"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are what a Detector is made of.
type Options struct {
	// Name is the detector's, "misconfig/kubernetes".
	Name string
	// Load returns the controls; it is called once, when they are first needed.
	Load func() ([]*Control, error)
	// Checks are the Go functions that controls may name.
	Checks map[string]Check
	// Index makes the index of one run; nil when no check needs one.
	Index func() Index
}

// Detector judges facts by controls. It is safe for concurrent use.
type Detector struct {
	options Options
	load    func() ([]*program, error)
}

var _ detect.Explainer = (*Detector)(nil)

// New makes a detector; nothing is loaded or compiled yet.
func New(o Options) *Detector {
	return &Detector{options: o, load: sync.OnceValues(func() ([]*program, error) {
		controls, err := o.Load()
		if err != nil {
			return nil, err
		}
		programs := make([]*program, len(controls))
		for i, c := range controls {
			if c.Check != "" && o.Checks[c.Check] == nil {
				return nil, c.Place.errorf("%s: there is no check %q", c.ID, c.Check)
			}
			programs[i] = &program{Control: c, check: o.Checks[c.Check], compile: sync.OnceValues(func() (*compiled, error) { return compile(c) })}
		}
		return programs, nil
	})}
}

// Name implements detect.Detector.
func (d *Detector) Name() string { return d.options.Name }

// Rules implements detect.Explainer. Controls that do not load have none.
func (d *Detector) Rules() []detect.Rule {
	programs, err := d.load()
	if err != nil {
		return nil
	}
	rules := make([]detect.Rule, len(programs))
	for i, p := range programs {
		rules[i] = p.Rule()
	}
	return rules
}

// Detect implements detect.Detector.
func (d *Detector) Detect(ctx context.Context, f detect.Facts) (detect.Result, error) {
	if !worthLooking(f) {
		return detect.Result{}, nil
	}
	programs, err := d.load()
	if err != nil {
		return detect.Result{}, err
	}
	var index Index
	if d.options.Index != nil {
		index = d.options.Index()
	}
	r := &run{snapshot: newSnapshot(f, index)}
	var applicable []*program
	for _, p := range programs {
		reason, in := r.scope(p.Control)
		if !in {
			continue
		}
		if reason != "" {
			r.tally(p).notApplicable(reason)
		} else if reason = r.missing(p.Control); reason != "" {
			r.tally(p).unread = []string{reason}
		} else {
			applicable = append(applicable, p)
		}
	}
	if err := compileAhead(ctx, slices.DeleteFunc(slices.Clone(applicable), func(p *program) bool { return !r.present(p.Control) })); err != nil {
		return detect.Result{}, err
	}
	if err := r.objects(ctx, applicable); err != nil {
		return detect.Result{}, err
	}
	if err := r.rest(ctx, applicable); err != nil {
		return detect.Result{}, err
	}
	return detect.Result{Findings: r.findings(programs), Partial: reasons(r.partial)}, nil
}

// worthLooking is false for assets no control can say anything about.
func worthLooking(f detect.Facts) bool {
	switch f.Asset.Kind {
	case seawall.AssetCluster, seawall.AssetManifests, seawall.AssetHost, seawall.AssetNode:
		return true
	}
	return len(f.Objects) > 0 || slices.ContainsFunc(f.Configs, func(c seawall.ConfigFact) bool { return strings.Contains(c.Kind, "/") })
}

// present says whether there may be something to judge a control by; the
// expressions of the others need not be compiled.
func (r *run) present(c *Control) bool {
	return slices.ContainsFunc(c.Inspects, func(what string) bool {
		return subjectKindOf(what) != kindFact || len(r.snapshot.Configs(what)) > 0
	})
}

// compileAhead compiles on all processors what is going to be needed.
func compileAhead(ctx context.Context, programs []*program) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range programs {
		g.Go(func() error {
			_, err := p.compile()
			return errors.Join(err, ctx.Err())
		})
	}
	return g.Wait()
}

// run is one call of Detect.
type run struct {
	snapshot *Snapshot
	tallies  map[*program]*tally
	partial  []string
}

func (r *run) tally(p *program) *tally {
	if r.tallies == nil {
		r.tallies = map[*program]*tally{}
	}
	t := r.tallies[p]
	if t == nil {
		t = &tally{}
		r.tallies[p] = t
	}
	return t
}

// scope says whether a control is about this asset at all, and if so why it
// does not apply, "" when it does.
func (r *run) scope(c *Control) (reason string, in bool) {
	asset := r.snapshot.Facts.Asset.Kind
	for _, what := range c.Inspects {
		switch subjectKindOf(what) {
		case kindCluster:
			// A question for a person is about a cluster, not about the manifests of a part of one.
			in = in || asset == seawall.AssetCluster || c.Manual == "" && (asset == seawall.AssetManifests || len(r.snapshot.Facts.Objects) > 0)
		case kindWorkloads, kindObject:
			in = in || asset == seawall.AssetCluster || asset == seawall.AssetManifests || len(r.snapshot.Facts.Objects) > 0
		case kindHost:
			in = in || asset == seawall.AssetHost || asset == seawall.AssetNode || r.snapshot.families["host"]
		case kindFact:
			family, _, _ := strings.Cut(what, "/")
			in = in || r.snapshot.families[family] || family == "kubernetes" && asset == seawall.AssetCluster
		}
	}
	if !in || len(c.Distributions) == 0 {
		return "", in
	}
	distribution := r.snapshot.Setting("kubernetes/version", "distribution")
	if distribution != "" && !slices.Contains(c.Distributions, distribution) {
		return "not for " + distribution, true
	}
	return "", true
}

// chunk is how many objects a worker takes at once.
const chunk = 64

// objects judges every object by the controls for its kind. Results are kept by
// chunk, so that their order does not depend on the workers.
func (r *run) objects(ctx context.Context, programs []*program) error {
	all := r.snapshot.Facts.Objects
	var workloads []*program
	kinds := map[string][]*program{}
	for _, p := range programs {
		for _, what := range p.Inspects {
			switch name, _, _ := strings.Cut(what, "."); subjectKindOf(what) {
			case kindWorkloads:
				workloads = append(workloads, p)
			case kindObject:
				kinds[name] = append(kinds[name], p)
			}
		}
	}
	parts := make([]*run, (len(all)+chunk-1)/chunk)
	var indexing sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n := range parts {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			j, err := newJudge(r.snapshot)
			if err != nil {
				return err
			}
			part := &run{snapshot: r.snapshot}
			for i := n * chunk; i < min(len(all), (n+1)*chunk); i++ {
				if err := part.object(j, &all[i], workloads, kinds[all[i].Kind], &indexing); err != nil {
					part.partial = append(part.partial, err.Error())
				}
			}
			parts[n] = part
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, part := range parts {
		for p, t := range part.tallies {
			r.tally(p).merge(t)
		}
		r.partial = append(r.partial, part.partial...)
	}
	return nil
}

// object judges one object. The error is that of reading it, or a panic of a check.
func (r *run) object(j *judge, o *seawall.Object, workloads, kind []*program, indexing sync.Locker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("judging %s: panic: %v", o.Resource(), p)
		}
	}()
	s, err := newSubject(o, r.snapshot)
	if err != nil {
		return err
	}
	r.snapshot.index(s, indexing)
	if s.Pod == nil && len(kind) == 0 {
		return nil
	}
	j.set(s)
	if s.Pod != nil {
		for _, p := range workloads {
			p.judge(j, s, r.tally(p))
		}
	}
	for _, p := range kind {
		if slices.ContainsFunc(p.Inspects, func(what string) bool { return isKind(o, what) }) {
			p.judge(j, s, r.tally(p))
		}
	}
	return nil
}

// index shows an object to the index, one at a time.
func (s *Snapshot) index(subject *Subject, indexing sync.Locker) {
	if s.Index == nil {
		return
	}
	indexing.Lock()
	defer indexing.Unlock()
	s.Index.Add(subject)
}

// rest judges facts, clusters and hosts, and notes what was not read.
func (r *run) rest(ctx context.Context, programs []*program) error {
	j, err := newJudge(r.snapshot)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := r.tally(p)
		for _, what := range p.Inspects {
			t.unread = append(t.unread, r.unread(what)...)
			switch subjectKindOf(what) {
			case kindCluster, kindHost:
				s := &Subject{Snapshot: r.snapshot}
				j.set(s)
				p.judge(j, s, t)
			case kindFact:
				r.facts(j, p, what, t)
			}
		}
	}
	return nil
}

// facts judges the config facts of a kind; without any, what Control.Absent says.
func (r *run) facts(j *judge, p *program, kind string, t *tally) {
	facts := r.snapshot.Configs(kind)
	for _, c := range facts {
		s := &Subject{Snapshot: r.snapshot, Config: c}
		j.set(s)
		p.judge(j, s, t)
	}
	if len(facts) > 0 || len(t.unread) > 0 {
		return
	}
	_, what, _ := strings.Cut(kind, "/")
	status := p.Absent
	if status == "" {
		status = seawall.StatusNotApplicable
		if r.snapshot.Facts.Asset.Kind == seawall.AssetCluster {
			status = seawall.StatusNotEvaluated
		}
	}
	s := &Subject{Snapshot: r.snapshot}
	if reason := r.snapshot.elsewhere[kind]; reason != "" {
		t.notApplicable(reason)
		return
	}
	switch status {
	case seawall.StatusFail:
		j.set(s)
		t.add(p.finding(s, "", what+" is not set up"))
	case seawall.StatusPass:
		t.passes++
	case seawall.StatusNotEvaluated:
		t.notEvaluated(nil, what+" could not be looked at from here")
	default:
		t.notApplicable("no " + what + " here")
	}
}

// missing is why a control cannot be judged: a list it needs was not read. ""
// when all were.
func (r *run) missing(c *Control) string {
	s := r.snapshot
	for _, resource := range c.Needs {
		switch reason, failed := s.unread[resource]; {
		case failed:
			return resource + " could not be listed: " + reason
		case s.read[resource]:
		case s.Facts.Asset.Kind == seawall.AssetManifests:
			return "manifests show only a part of a cluster"
		default:
			return resource + " were not listed"
		}
	}
	return ""
}

// unread is why there may be more of what a control inspects than was seen; none
// when all was read.
func (r *run) unread(what string) []string {
	var why []string
	for resource, reason := range r.snapshot.unread {
		if concerns(what, resource) {
			why = append(why, resource+" could not be read: "+reason)
		}
	}
	return why
}

// concerns says whether a list that was not read holds subjects of what.
func concerns(what, resource string) bool {
	switch subjectKindOf(what) {
	case kindFact:
		return what == resource
	case kindWorkloads:
		switch resource {
		case "pods", "replicationcontrollers", "deployments.apps", "daemonsets.apps", "statefulsets.apps", "replicasets.apps", "jobs.batch", "cronjobs.batch":
			return true
		}
	case kindObject:
		kind, group, qualified := strings.Cut(strings.ToLower(what), ".")
		name, of, _ := strings.Cut(resource, ".")
		return name == plural(kind) && (!qualified || of == group)
	}
	return false
}

// plural is how the API names the list of a kind.
func plural(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"):
		return kind + "es"
	case strings.HasSuffix(kind, "y") && !strings.HasSuffix(kind, "ay"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}

// files is the function of expressions.
func (s *Snapshot) files(glob string) any {
	out := []any{}
	glob = strings.TrimPrefix(glob, "/")
	for i := range s.Facts.Files {
		f := &s.Facts.Files[i]
		if ok, err := path.Match(glob, f.Path); err == nil && ok && f.Kind != "" {
			out = append(out, map[string]any{
				"path": "/" + f.Path, "_path": "/" + f.Path, "owner": f.Owner, "kind": f.Kind, "mode": int64(f.Mode), "uid": int64(f.UID), "gid": int64(f.GID), "size": f.Size,
			})
		}
	}
	return out
}

func namesSecret(args []any) (any, error) {
	name, ok := args[0].(string)
	value, isText := args[1].(string)
	if !ok || !isText {
		return nil, fmt.Errorf("namesSecret wants two texts, got %v and %T", args[0], args[1])
	}
	return misconfig.NamesSecret(name, value), nil
}

// literal says whether a field is a path and no expression.
func literal(field string) bool {
	return !strings.ContainsFunc(field, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_.-/[]*", r)
	})
}
