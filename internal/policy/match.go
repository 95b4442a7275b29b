package policy

import (
	"path"
	"slices"
	"strings"
)

// The bounds of a pattern keep matching cheap: its characters, and how often it has **.
const maxPattern, maxDeep = 300, 2

type matchSpec struct {
	Images     []Word        `yaml:"images"`
	Clusters   []Word        `yaml:"clusters"`
	Namespaces []Word        `yaml:"namespaces"`
	Kinds      []Word        `yaml:"kinds"`
	Operations []Word        `yaml:"operations"`
	Subjects   []Word        `yaml:"subjects"`
	Selector   *selectorSpec `yaml:"selector"`
}

type selectorSpec struct {
	MatchLabels      map[string]string `yaml:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `yaml:"key"`
		Operator Word     `yaml:"operator"`
		Values   []string `yaml:"values"`
	} `yaml:"matchExpressions"`
}

// criteria are a matchSpec that was checked; nil says nothing.
type criteria struct {
	images, clusters, namespaces, kinds, operations, subjects []string
	selector                                                  []requirement
}

// requirement is one of a label selector.
type requirement struct {
	key      string
	operator string // In, NotIn, Exists, DoesNotExist
	values   []string
}

// truth is an answer that may not be known.
type truth int

const (
	no truth = iota
	unknownTruth
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// compile checks the patterns.
func (m *matchSpec) compile() (*criteria, error) {
	c := &criteria{}
	some := false
	for _, list := range []struct {
		what  string
		words []Word
		to    *[]string
	}{
		{"images", m.Images, &c.images}, {"clusters", m.Clusters, &c.clusters}, {"namespaces", m.Namespaces, &c.namespaces},
		{"kinds", m.Kinds, &c.kinds}, {"operations", m.Operations, &c.operations}, {"subjects", m.Subjects, &c.subjects},
	} {
		for _, w := range list.words {
			_, err := path.Match(strings.ReplaceAll(w.Text, "**", "*"), "")
			if err != nil || w.Text == "" || len(w.Text) > maxPattern || strings.Count(w.Text, "**") > maxDeep {
				return nil, w.Place.Errorf("%s: %.60q is no pattern (at most %d characters, ** at most %d times)", list.what, w.Text, maxPattern, maxDeep)
			}
			if list.what == "operations" {
				if _, err := w.oneOf("operation", "", "CREATE", "UPDATE", "DELETE", "CONNECT"); err != nil {
					return nil, err
				}
			}
			if kind, _, ok := strings.Cut(w.Text, ":"); list.what == "subjects" && (!ok || kind != "user" && kind != "group") {
				return nil, w.Place.Errorf("subjects: %q: want user:NAME or group:NAME", w.Text)
			}
			*list.to = append(*list.to, w.Text)
			some = true
		}
	}
	if m.Selector != nil {
		if err := c.selectLabels(m.Selector); err != nil {
			return nil, err
		}
		some = some || len(c.selector) > 0
	}
	if !some {
		return nil, nil
	}
	return c, nil
}

func (c *criteria) selectLabels(s *selectorSpec) error {
	for key, value := range s.MatchLabels {
		c.selector = append(c.selector, requirement{key, "In", []string{value}})
	}
	for _, e := range s.MatchExpressions {
		operator, err := e.Operator.oneOf("operator", "", "In", "NotIn", "Exists", "DoesNotExist")
		if err != nil {
			return err
		}
		if (operator == "In" || operator == "NotIn") != (len(e.Values) > 0) || e.Key == "" {
			return e.Operator.Place.Errorf("operator %s: In and NotIn want values, Exists and DoesNotExist none, and all a key", operator)
		}
		c.selector = append(c.selector, requirement{e.Key, operator, e.Values})
	}
	return nil
}

// some is how many of the images must fit: slices.ContainsFunc or all.
type some func(images []Image, fits func(Image) bool) bool

func all(images []Image, fits func(Image) bool) bool {
	return len(images) > 0 && !slices.ContainsFunc(images, func(i Image) bool { return !fits(i) })
}

// holds says whether all that the criteria name fits the input with these images.
func (c *criteria) holds(in *Input, images []Image, enough some) truth {
	if c == nil {
		return yes
	}
	result := yes
	for _, t := range []truth{
		c.matchImage(in, images, enough), one(c.clusters, in.Cluster), c.matchNamespace(in), c.matchKind(in), c.matchRequest(in), c.matchLabels(in),
	} {
		result = min(result, t)
	}
	return result
}

// one says whether a name is among patterns; "" is not known.
func one(patterns []string, name string) truth {
	switch {
	case len(patterns) == 0:
		return yes
	case name == "":
		return unknownTruth
	}
	return truthOf(anyGlob(patterns, name))
}

func anyGlob(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, name) })
}

func (c *criteria) matchImage(in *Input, images []Image, enough some) truth {
	switch {
	case len(c.images) == 0:
		return yes
	case len(images) == 0 && in.Object == nil:
		return unknownTruth
	}
	return truthOf(enough(images, c.isImage))
}

// isImage: a pattern is of the whole reference, or of it without tag and digest.
func (c *criteria) isImage(image Image) bool {
	return anyGlob(c.images, image.Name) || anyGlob(c.images, image.Registry+"/"+image.Repository)
}

func (c *criteria) matchNamespace(in *Input) truth {
	if len(c.namespaces) > 0 && in.Object != nil && in.NamespaceName == "" {
		return no // a cluster-scoped object is in none
	}
	return one(c.namespaces, in.NamespaceName)
}

func (c *criteria) matchKind(in *Input) truth {
	if len(c.kinds) == 0 {
		return yes
	}
	kind, _ := in.Object["kind"].(string)
	if kind == "" {
		return unknownTruth
	}
	version, _ := in.Object["apiVersion"].(string)
	group, _, grouped := strings.Cut(version, "/")
	if !grouped {
		group = ""
	}
	return truthOf(anyGlob(c.kinds, kind) || anyGlob(c.kinds, kind+"."+group))
}

func (c *criteria) matchRequest(in *Input) truth {
	switch {
	case len(c.operations) == 0 && len(c.subjects) == 0:
		return yes
	case in.Request == nil:
		return unknownTruth
	}
	operation, _ := in.Request["operation"].(string)
	info, _ := in.Request["userInfo"].(map[string]any)
	user, _ := info["username"].(string)
	subjects := []string{"user:" + user}
	groups, _ := info["groups"].([]any)
	for _, g := range groups {
		if g, ok := g.(string); ok {
			subjects = append(subjects, "group:"+g)
		}
	}
	return min(one(c.operations, operation),
		truthOf(len(c.subjects) == 0 || slices.ContainsFunc(subjects, func(s string) bool { return anyGlob(c.subjects, s) })))
}

func (c *criteria) matchLabels(in *Input) truth {
	switch {
	case len(c.selector) == 0:
		return yes
	case in.Object == nil:
		return unknownTruth
	}
	meta, _ := in.Object["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	for _, r := range c.selector {
		value, there := labels[r.key]
		text, _ := value.(string)
		among := there && slices.Contains(r.values, text)
		if ok := map[string]bool{"In": among, "NotIn": !among, "Exists": there, "DoesNotExist": !there}[r.operator]; !ok {
			return no
		}
	}
	return yes
}

// glob matches as path.Match does, where ** matches anything, slashes included.
func glob(pattern, name string) bool {
	before, after, deep := strings.Cut(pattern, "**")
	if !deep {
		ok, _ := path.Match(pattern, name)
		return ok
	}
	for i := 0; i <= len(name); i++ {
		if ok, _ := path.Match(before, name[:i]); !ok {
			continue
		}
		for j := i; j <= len(name); j++ {
			if glob(after, name[j:]) {
				return true
			}
		}
	}
	return false
}
