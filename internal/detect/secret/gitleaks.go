package secret

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/seawall-security/seawall/internal/seawall"
)

// customRule is a rule of the user's, as gitleaks' configuration describes it
// (https://github.com/gitleaks/gitleaks, README, "Configuration").
type customRule struct {
	id, description string
	source          string // all that decides what it finds
	regex, path     *regexp.Regexp
	group           int
	entropy         float64
	keywords        []string
	allow           []allowlist
}

// allowlist names what is not reported.
type allowlist struct {
	all             bool // every criterion given must hold
	paths, regexes  []*regexp.Regexp
	stopwords       []string
	onMatch, onLine bool
	commits         bool
}

// ruleFile is gitleaks' TOML.
type ruleFile struct {
	Title  string
	Extend struct {
		UseDefault    bool
		Path          string
		URL           string
		DisabledRules []string
	}
	Rules      []tomlRule
	Allowlist  *tomlAllow
	Allowlists []tomlAllow
}

type tomlRule struct {
	ID, Description, Regex, Path string
	SecretGroup                  int
	Entropy                      float64
	Keywords, Tags               []string
	SkipReport                   bool
	Allowlist                    *tomlAllow
	Allowlists                   []tomlAllow
}

type tomlAllow struct {
	Description, RegexTarget, Condition string
	Commits, Paths, Regexes, StopWords  []string
	TargetRules                         []string
}

const (
	maxRuleFile  = 4 << 20
	maxRuleDepth = 2 // as gitleaks
	maxRules     = 5000
)

// loadRules reads rule files; the rules of a later one replace those of the same id.
func loadRules(files []string) ([]*customRule, error) {
	var out []*customRule
	for _, name := range files {
		rules, err := loadRuleFile(name, 0)
		if err != nil {
			return nil, seawall.WithHint(fmt.Errorf("secret rules %s: %w: %w", name, seawall.ErrUsage, err), "the file must be a gitleaks configuration (TOML)")
		}
		out = merge(out, rules)
	}
	return out, nil
}

func merge(base, over []*customRule) []*customRule {
	for _, r := range over {
		if i := slices.IndexFunc(base, func(b *customRule) bool { return b.id == r.id }); i >= 0 {
			base[i] = r
		} else {
			base = append(base, r)
		}
	}
	return base
}

func loadRuleFile(name string, depth int) ([]*customRule, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRuleFile {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", info.Size(), maxRuleFile, seawall.ErrBound)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, rules, err := parseRules(data)
	if err != nil {
		return nil, err
	}
	if f.Extend.Path == "" {
		return rules, nil
	}
	if depth >= maxRuleDepth {
		return nil, fmt.Errorf("extend.path: more than %d files deep", maxRuleDepth)
	}
	base := f.Extend.Path
	if !filepath.IsAbs(base) {
		base = filepath.Join(filepath.Dir(name), base)
	}
	extended, err := loadRuleFile(base, depth+1)
	if err != nil {
		return nil, fmt.Errorf("extend.path %s: %w", f.Extend.Path, err)
	}
	extended = slices.DeleteFunc(extended, func(r *customRule) bool { return slices.Contains(f.Extend.DisabledRules, r.id) })
	return merge(extended, rules), nil
}

// parseRules reads one rule file. extend.useDefault needs nothing: Seawall's own
// rules always run.
func parseRules(data []byte) (*ruleFile, []*customRule, error) {
	var f ruleFile
	if err := toml.Unmarshal(data, &f); err != nil {
		return nil, nil, err
	}
	if f.Extend.URL != "" {
		return nil, nil, fmt.Errorf("extend.url: rules are never fetched; save them to a file and use extend.path")
	}
	if len(f.Rules) > maxRules {
		return nil, nil, fmt.Errorf("%d rules, more than %d: %w", len(f.Rules), maxRules, seawall.ErrBound)
	}
	if f.Allowlist != nil {
		f.Allowlists = append(f.Allowlists, *f.Allowlist)
	}
	var out []*customRule
	for i, t := range f.Rules {
		if t.Regex == "" && t.Path == "" && f.Extend.UseDefault {
			return nil, nil, fmt.Errorf("rule %q changes one of gitleaks' own rules, which Seawall does not have; give it a regex", t.ID)
		}
		r, err := t.compile(f.Allowlists)
		if err != nil {
			return nil, nil, fmt.Errorf("rule %d (%q): %w", i+1, t.ID, err)
		}
		if !t.SkipReport {
			out = append(out, r)
		}
	}
	return &f, out, nil
}

func (t *tomlRule) compile(global []tomlAllow) (*customRule, error) {
	if t.ID == "" {
		return nil, fmt.Errorf("no id")
	}
	if t.Regex == "" && t.Path == "" {
		return nil, fmt.Errorf("neither regex nor path")
	}
	r := &customRule{id: t.ID, description: t.Description, group: t.SecretGroup, entropy: t.Entropy, source: fmt.Sprintf("%+v %+v", *t, global)}
	var err error
	if t.Regex != "" {
		if r.regex, err = regexp.Compile(t.Regex); err != nil {
			return nil, err
		}
		if r.group < 0 || r.group > r.regex.NumSubexp() {
			return nil, fmt.Errorf("secretGroup %d: the regex has %d groups", r.group, r.regex.NumSubexp())
		}
	}
	if t.Path != "" {
		if r.path, err = regexp.Compile(t.Path); err != nil {
			return nil, err
		}
	}
	for _, k := range t.Keywords {
		r.keywords = append(r.keywords, strings.ToLower(k))
	}
	lists := t.Allowlists
	if t.Allowlist != nil {
		lists = append(lists, *t.Allowlist)
	}
	for _, g := range global {
		if len(g.TargetRules) == 0 || slices.Contains(g.TargetRules, t.ID) {
			lists = append(lists, g)
		}
	}
	for _, l := range lists {
		a, err := l.compile()
		if err != nil {
			return nil, fmt.Errorf("allowlist: %w", err)
		}
		r.allow = append(r.allow, a)
	}
	return r, nil
}

func (t *tomlAllow) compile() (a allowlist, err error) {
	switch strings.ToUpper(t.Condition) {
	case "", "OR", "||":
	case "AND", "&&":
		a.all = true
	default:
		return a, fmt.Errorf("condition %q (want OR or AND)", t.Condition)
	}
	switch t.RegexTarget {
	case "", "secret":
	case "match":
		a.onMatch = true
	case "line":
		a.onLine = true
	default:
		return a, fmt.Errorf("regexTarget %q (want secret, match or line)", t.RegexTarget)
	}
	if a.paths, err = regexps(t.Paths); err != nil {
		return a, err
	}
	if a.regexes, err = regexps(t.Regexes); err != nil {
		return a, err
	}
	for _, w := range t.StopWords {
		a.stopwords = append(a.stopwords, strings.ToLower(w))
	}
	a.commits = len(t.Commits) > 0
	return a, nil
}

func regexps(texts []string) (out []*regexp.Regexp, err error) {
	for _, t := range texts {
		re, err := regexp.Compile(t)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// customRules tries the user's rules on what was not searched before limit.
func (s *search) customRules(limit int) {
	if s.start == 0 && s.from == 0 {
		for _, r := range s.custom {
			if r.regex == nil && r.path.MatchString(s.original) {
				s.report(hit{custom: r.id, description: r.description, name: "file"}, []byte(s.original), 0)
			}
		}
	}
	if len(s.custom) == 0 || s.binary {
		return
	}
	var lower []byte
	for _, r := range s.custom {
		if r.regex == nil || r.path != nil && !r.path.MatchString(s.original) {
			continue
		}
		if len(r.keywords) > 0 {
			if lower == nil {
				lower = bytes.ToLower(s.buf)
			}
			if !slices.ContainsFunc(r.keywords, func(k string) bool { return bytes.Contains(lower, []byte(k)) }) {
				continue
			}
		}
		// A match may begin a little before what is new, as its context does.
		for _, at := range r.regex.FindAllSubmatchIndex(s.buf, -1) {
			if at[0] >= s.from && at[0] < limit && !s.full {
				s.customHit(r, at)
			}
		}
	}
	clear(lower)
}

func (s *search) customHit(r *customRule, at []int) {
	start, end := at[0], at[1]
	switch {
	case r.group > 0:
		start, end = at[2*r.group], at[2*r.group+1]
	case len(at) > 2:
		// Without secretGroup the first group that took part is the secret.
		for g := 2; g+1 < len(at); g += 2 {
			if at[g] >= 0 && at[g+1] > at[g] {
				start, end = at[g], at[g+1]
				break
			}
		}
	}
	if start < 0 || start == end {
		return
	}
	value := s.buf[start:end]
	if r.entropy > 0 && entropy(value) <= r.entropy {
		return
	}
	line := s.lineAround(start, end)
	for i := range r.allow {
		if r.allow[i].allows(s.original, value, s.buf[at[0]:at[1]], line) {
			return
		}
	}
	s.report(hit{custom: r.id, description: r.description, start: int64(start), end: int64(end)}, value, 0)
}

// allows says whether a match is on the list. Commits are not known here: a list
// that demands one as well allows nothing.
func (a *allowlist) allows(path string, secret, match, line []byte) bool {
	target := secret
	if a.onMatch {
		target = match
	}
	if a.onLine {
		target = line
	}
	byPath := slices.ContainsFunc(a.paths, func(re *regexp.Regexp) bool { return re.MatchString(path) })
	byRegex := slices.ContainsFunc(a.regexes, func(re *regexp.Regexp) bool { return re.Match(target) })
	lower := strings.ToLower(string(secret))
	byWord := slices.ContainsFunc(a.stopwords, func(w string) bool { return strings.Contains(lower, w) })
	if !a.all {
		return byPath || byRegex || byWord
	}
	return !a.commits && (len(a.paths) == 0 || byPath) && (len(a.regexes) == 0 || byRegex) && (len(a.stopwords) == 0 || byWord)
}
