package control

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// subjectKind is what an element of Control.Inspects names.
type subjectKind int

const (
	kindUnknown subjectKind = iota
	kindWorkloads
	kindObject
	kindFact
	kindCluster
	kindHost
)

func subjectKindOf(inspects string) subjectKind {
	switch {
	case inspects == "workloads":
		return kindWorkloads
	case inspects == "cluster":
		return kindCluster
	case inspects == "host":
		return kindHost
	case strings.Contains(inspects, "/"):
		return kindFact
	case inspects != "" && unicode.IsUpper(rune(inspects[0])):
		return kindObject
	}
	return kindUnknown
}

// Subject is what one judgement is about.
type Subject struct {
	Control  *Control
	Snapshot *Snapshot
	// Object is nil for facts, clusters and hosts; so are the next three.
	Object *seawall.Object
	// Map is the object, Pod its pod spec (nil without one) and Path where that is.
	Map  map[string]any
	Pod  map[string]any
	Path string
	// Containers are those of Pod, init and ephemeral ones too, each with _kind and _path.
	Containers []map[string]any
	// Config is the fact that is judged, nil for all else.
	Config *seawall.ConfigFact

	memo *any
}

// Memo returns what make made of this subject, which is called once for all the
// controls of a detector that share it.
func (s *Subject) Memo(make func() any) any {
	if s.memo == nil {
		return make()
	}
	if *s.memo == nil {
		*s.memo = make()
	}
	return *s.memo
}

// Snapshot is all that is known about the asset.
type Snapshot struct {
	Facts detect.Facts
	// Index is what Options.Index made of all objects; nil without one.
	Index Index

	namespaces map[string]map[string]any
	configs    map[string]any // kind -> []any of map[string]any
	read       map[string]bool
	unread     map[string]string // resource or fact kind -> reason
	elsewhere  map[string]string // fact kind -> whose business it is
	families   map[string]bool

	mu      sync.Mutex
	decoded map[string][]any
}

// Index gathers what cluster controls need to know about all objects, so that
// nobody decodes them again.
type Index interface {
	// Add sees every object once, in no order, never two at a time. The subject's
	// control is nil; its maps are only valid until Add returns.
	Add(s *Subject)
}

func newSnapshot(f detect.Facts, index Index) *Snapshot {
	s := &Snapshot{
		Facts: f, Index: index, namespaces: map[string]map[string]any{}, configs: map[string]any{}, read: map[string]bool{},
		unread: map[string]string{}, elsewhere: map[string]string{}, families: map[string]bool{}, decoded: map[string][]any{},
	}
	for i := range f.Configs {
		c := &f.Configs[i]
		family, what, _ := strings.Cut(c.Kind, "/")
		if c.Kind != "kubernetes/version" {
			s.families[family] = true
		}
		switch what {
		case "read":
			s.read[c.Data["resource"]] = true
			continue
		case "unread":
			if _, known := s.unread[c.Data["resource"]]; !known {
				s.unread[c.Data["resource"]] = c.Data["reason"]
			}
			continue
		case "elsewhere":
			s.elsewhere[c.Data["resource"]] = c.Data["reason"]
			continue
		}
		list, _ := s.configs[c.Kind].([]any)
		s.configs[c.Kind] = append(list, c.Data)
	}
	for i := range f.Objects {
		if o := &f.Objects[i]; o.Kind == "Namespace" && o.APIVersion == "v1" {
			if m, err := decode(o.JSON); err == nil {
				s.namespaces[o.Name] = m
			}
		}
	}
	return s
}

// Configs are the facts of a kind.
func (s *Snapshot) Configs(kind string) []*seawall.ConfigFact {
	var facts []*seawall.ConfigFact
	for i := range s.Facts.Configs {
		if c := &s.Facts.Configs[i]; c.Kind == kind {
			facts = append(facts, c)
		}
	}
	return facts
}

// Setting is a value of the first fact of a kind, "" where there is none.
func (s *Snapshot) Setting(kind, name string) string {
	for i := range s.Facts.Configs {
		if c := &s.Facts.Configs[i]; c.Kind == kind {
			return c.Data[name]
		}
	}
	return ""
}

// Namespace is a Namespace object by name, nil when it is not known.
func (s *Snapshot) Namespace(name string) map[string]any { return s.namespaces[name] }

// Read says whether a list was read completely, Unread why it was not; both are
// zero where nobody tried (manifests).
func (s *Snapshot) Read(resource string) bool     { return s.read[resource] }
func (s *Snapshot) Unread(resource string) string { return s.unread[resource] }

// Decoded returns the objects of a kind as maps; they stay in memory until the
// detector is done.
func (s *Snapshot) Decoded(kind string) []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, ok := s.decoded[kind]
	if ok {
		return list
	}
	list = []any{}
	for i := range s.Facts.Objects {
		if o := &s.Facts.Objects[i]; isKind(o, kind) {
			if m, err := decode(o.JSON); err == nil {
				list = append(list, m)
			}
		}
	}
	s.decoded[kind] = list
	return list
}

// isKind says whether an object is of a kind, "Service" or "Ingress.networking.k8s.io".
func isKind(o *seawall.Object, kind string) bool {
	name, group, qualified := strings.Cut(kind, ".")
	if o.Kind != name {
		return false
	}
	own, _, _ := strings.Cut(o.APIVersion, "/")
	return !qualified || own == group
}

// decode reads an object; whole numbers are int64. Fields that are null are left
// out, as the API server does.
func decode(text []byte) (map[string]any, error) {
	var m map[string]any
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &m); err != nil {
		return nil, err
	}
	if bytes.Contains(text, []byte("null")) {
		dropNulls(m)
	}
	return m, nil
}

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if child == nil {
				delete(v, k)
				continue
			}
			dropNulls(child)
		}
	case []any:
		for _, child := range v {
			dropNulls(child)
		}
	}
}

// newSubject decodes an object and finds its pod spec and containers.
func newSubject(o *seawall.Object, s *Snapshot) (*Subject, error) {
	m, err := decode(o.JSON)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.Resource(), err)
	}
	subject := &Subject{Snapshot: s, Object: o, Map: m, memo: new(any)}
	subject.Pod, subject.Path = podSpec(o.Kind, m)
	if subject.Pod == nil {
		return subject, nil
	}
	for _, list := range [...]struct{ field, kind string }{{"containers", "container"}, {"initContainers", "init"}, {"ephemeralContainers", "ephemeral"}} {
		for i, item := range mark(subject.Pod, subject.Path, list.field) {
			container, ok := item.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("reading %s: %s.%s[%d] is no mapping", o.Resource(), subject.Path, list.field, i)
			}
			container["_kind"] = list.kind
			subject.Containers = append(subject.Containers, container)
		}
	}
	mark(subject.Pod, subject.Path, "volumes")
	return subject, nil
}

// mark gives the elements of a list their _path.
func mark(pod map[string]any, path, field string) []any {
	list, _ := pod[field].([]any)
	for i, item := range list {
		if m, ok := item.(map[string]any); ok {
			m["_path"] = path + "." + field + "[" + strconv.Itoa(i) + "]"
		}
	}
	return list
}

// podSpec finds the pod spec of an object and its path: by kind, and in kinds
// nobody knows where most have it.
func podSpec(kind string, m map[string]any) (map[string]any, string) {
	switch kind {
	case "Pod":
		return at(m, "spec"), "spec"
	case "CronJob":
		return at(m, "spec", "jobTemplate", "spec", "template", "spec"), "spec.jobTemplate.spec.template.spec"
	case "PodTemplate":
		return at(m, "template", "spec"), "template.spec"
	}
	pod := at(m, "spec", "template", "spec")
	if _, ok := pod["containers"].([]any); !ok {
		return nil, ""
	}
	return pod, "spec.template.spec"
}

// at walks down maps; nil where one is missing.
func at(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// judge is one evaluation context: an input and what it holds.
type judge struct {
	snapshot   *Snapshot
	in         *expression.Input
	containers []expression.Value
}

func newJudge(s *Snapshot) (*judge, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	j := &judge{snapshot: s, in: env.Input()}
	j.in.Set("configs", s.configs)
	j.in.Set("now", s.Facts.Now)
	j.in.Set("@snapshot", expression.Opaque(s))
	return j, nil
}

// set makes a subject the one that is judged.
func (j *judge) set(s *Subject) {
	null := func(m map[string]any) any {
		if m == nil {
			return nil
		}
		return m
	}
	j.in.Set("object", null(s.Map))
	j.in.Set("pod", null(s.Pod))
	j.in.Set("path", s.Path)
	j.in.Set("item", nil)
	j.in.Set("index", int64(-1))
	j.in.Set("config", nil)
	if s.Config != nil {
		j.in.Set("config", s.Config.Data)
	}
	j.in.Set("namespaceObject", nil)
	if s.Object != nil && s.Object.Namespace != "" {
		j.in.Set("namespaceObject", null(s.Snapshot.namespaces[s.Object.Namespace]))
	}
	j.containers = j.containers[:0]
	plain := make([]any, len(s.Containers))
	for i, c := range s.Containers {
		j.containers = append(j.containers, expression.Plain(c))
		plain[i] = c
	}
	j.in.Set("containers", plain)
}

// environment is the one all controls are written for, made when first needed.
var environment = sync.OnceValues(func() (*expression.Environment, error) {
	return expression.New(
		[]string{"object", "pod", "path", "containers", "item", "index", "config", "configs", "namespaceObject", "now", "@snapshot"},
		expression.Function{Name: "objects", Context: "@snapshot", Arguments: 1, Call: withText(func(s *Snapshot, kind string) any { return s.Decoded(kind) })},
		expression.Function{Name: "facts", Context: "@snapshot", Arguments: 1, Call: withText(func(s *Snapshot, kind string) any {
			if list, ok := s.configs[kind]; ok {
				return list
			}
			return []any{}
		})},
		expression.Function{Name: "files", Context: "@snapshot", Arguments: 1, Call: withText((*Snapshot).files)},
		expression.Function{Name: "namesSecret", Arguments: 2, Call: namesSecret},
	)
})

// withText adapts a function of a snapshot and a text.
func withText(call func(s *Snapshot, text string) any) func([]any) (any, error) {
	return func(args []any) (any, error) {
		s, ok := args[0].(*Snapshot)
		text, isText := args[1].(string)
		if !ok || !isText {
			return nil, fmt.Errorf("%v is no text", args[1])
		}
		return call(s, text), nil
	}
}

// reasons joins distinct reasons, in order.
func reasons(list []string) string {
	slices.Sort(list)
	return strings.Join(slices.Compact(list), "; ")
}
