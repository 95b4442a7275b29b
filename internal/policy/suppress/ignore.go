package suppress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// entry is one exception. Every selector that is set must match.
type entry struct {
	file string
	line int

	ids      []string // upper case
	packages []string
	purls    []purl
	paths    []string
	assets   []string

	expires string // as written; "" never
	expired bool
	reason  string
	owner   string
	used    atomic.Bool
}

func (e *entry) place() string { return fmt.Sprintf("%s line %d", e.file, e.line) }

// subject is what the entry is about, for messages.
func (e *entry) subject() string {
	for _, list := range [][]string{e.ids, e.packages, e.paths, e.assets} {
		if len(list) > 0 {
			return strings.Join(list, ", ")
		}
	}
	return e.purls[0].String()
}

func (e *entry) reasonText() string {
	s := e.reason
	if s == "" {
		s = "ignored"
	}
	s += " (" + e.place()
	if e.owner != "" {
		s += ", owner " + e.owner
	}
	if e.expires != "" {
		s += ", until " + e.expires
	}
	return s + ")"
}

func (e *entry) expiredReason() string {
	return fmt.Sprintf("the exception in %s expired on %s", e.place(), e.expires)
}

func (e *entry) matches(asset *seawall.Asset, f *seawall.Finding) bool {
	if len(e.ids) > 0 && !slices.ContainsFunc(namesOf(f), func(n string) bool { return slices.Contains(e.ids, n) }) {
		return false
	}
	if len(e.packages) > 0 && (f.Package == nil || !slices.Contains(e.packages, f.Package.Name) && !slices.Contains(e.packages, f.Package.Source)) {
		return false
	}
	if len(e.purls) > 0 && !slices.ContainsFunc(e.purls, func(p purl) bool { return p.matchesPackage(f.Package) }) {
		return false
	}
	if len(e.assets) > 0 && !slices.ContainsFunc(e.assets, func(g string) bool { return glob(g, asset.Name) || glob(g, asset.ID) }) {
		return false
	}
	return len(e.paths) == 0 || e.matchesPaths(f)
}

// matchesPaths wants every place of the finding covered: an exception for test
// data must not hide the same package in production code.
func (e *entry) matchesPaths(f *seawall.Finding) bool {
	places := f.Locations
	if len(places) == 0 && f.Location != nil {
		places = []seawall.Location{*f.Location}
	}
	for _, l := range places {
		if !slices.ContainsFunc(e.paths, func(g string) bool { return glob(g, l.Path) }) {
			return false
		}
	}
	return len(places) > 0
}

// namesOf lists every name of what was found, in upper case: the rule, the
// vulnerability and its aliases.
func namesOf(f *seawall.Finding) []string {
	names := []string{strings.ToUpper(f.Rule)}
	if v := f.Vulnerability; v != nil {
		names = append(names, strings.ToUpper(v.ID))
		for _, a := range v.Aliases {
			names = append(names, strings.ToUpper(a))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parseIgnore reads an ignore list: a YAML mapping with "ignore" (ours) or with
// .trivyignore.yaml's sections, or else a plain list of identifiers.
func parseIgnore(name string, data []byte, now time.Time) ([]*entry, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		if err != nil && !errors.Is(err, io.EOF) && looksLikeYAML(data) {
			return nil, err
		}
		return parseList(name, data, now)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	var entries []*entry
	root := doc.Content[0]
	for i := 0; i < len(root.Content); i += 2 {
		key, list := root.Content[i], root.Content[i+1]
		var fields map[string]field
		switch key.Value {
		case "ignore":
			fields = ownFields()
		case "vulnerabilities", "misconfigurations", "secrets", "licenses":
			fields = trivyFields()
		default:
			return nil, fmt.Errorf("line %d: unknown field %q (want ignore)", key.Line, key.Value)
		}
		got, err := parseEntries(name, list, fields, now)
		if err != nil {
			return nil, err
		}
		for _, e := range got {
			if key.Value == "ignore" && e.reason == "" {
				return nil, fmt.Errorf("line %d: entry has no reason: say why this is accepted", e.line)
			}
		}
		entries = append(entries, got...)
	}
	return entries, nil
}

// looksLikeYAML tells a broken YAML ignore list from a plain list of identifiers.
func looksLikeYAML(data []byte) bool {
	for _, key := range []string{"ignore:", "vulnerabilities:", "misconfigurations:", "secrets:", "licenses:"} {
		if bytes.HasPrefix(data, []byte(key)) || bytes.Contains(data, []byte("\n"+key)) {
			return true
		}
	}
	return false
}

// field stores the value or values of one YAML field.
type field struct {
	single bool
	set    func(e *entry, values []string) error
}

func ownFields() map[string]field {
	ids, packages, purls := field{set: setIDs}, field{set: setPackages}, field{set: setPURLs}
	paths, assets := field{set: setPaths}, field{set: setAssets}
	return map[string]field{
		"id": ids, "ids": ids, "package": packages, "packages": packages, "purl": purls, "purls": purls,
		"path": paths, "paths": paths, "asset": assets, "assets": assets,
		"expires": {true, setExpires}, "reason": {true, setReason}, "owner": {true, setOwner},
	}
}

func trivyFields() map[string]field {
	return map[string]field{
		"id": {set: setIDs}, "paths": {set: setPaths}, "purls": {set: setPURLs},
		"expired_at": {true, setExpires}, "statement": {true, setReason},
	}
}

func setIDs(e *entry, v []string) error {
	for _, id := range v {
		e.ids = append(e.ids, strings.ToUpper(id))
	}
	return nil
}

func setPackages(e *entry, v []string) error { e.packages = append(e.packages, v...); return nil }
func setReason(e *entry, v []string) error   { e.reason = v[0]; return nil }
func setOwner(e *entry, v []string) error    { e.owner = v[0]; return nil }
func setExpires(e *entry, v []string) error  { e.expires = v[0]; return nil }

func setAssets(e *entry, v []string) error {
	e.assets = append(e.assets, v...)
	return checkGlobs(v)
}

func setPaths(e *entry, v []string) error {
	for _, p := range v {
		e.paths = append(e.paths, strings.TrimPrefix(p, "/"))
	}
	return checkGlobs(v)
}

func setPURLs(e *entry, v []string) error {
	for _, s := range v {
		p, err := parsePURL(s)
		if err != nil {
			return err
		}
		e.purls = append(e.purls, p)
	}
	return nil
}

func parseEntries(name string, list *yaml.Node, fields map[string]field, now time.Time) ([]*entry, error) {
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: want a list of entries", list.Line)
	}
	var entries []*entry
	for _, n := range list.Content {
		if n.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("line %d: want an entry with fields, as in {id: CVE-2024-1234, reason: …}", n.Line)
		}
		e := &entry{file: name, line: n.Line}
		for i := 0; i < len(n.Content); i += 2 {
			if err := e.set(n.Content[i], n.Content[i+1], fields); err != nil {
				return nil, err
			}
		}
		if len(e.ids)+len(e.packages)+len(e.purls)+len(e.paths)+len(e.assets) == 0 {
			return nil, fmt.Errorf("line %d: entry selects nothing: give an id, package, purl, path or asset", e.line)
		}
		if err := e.judgeExpiry(now); err != nil {
			return nil, fmt.Errorf("line %d: %w", e.line, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (e *entry) set(key, value *yaml.Node, fields map[string]field) error {
	f, known := fields[key.Value]
	if !known {
		return fmt.Errorf("line %d: unknown field %q", key.Line, key.Value)
	}
	nodes := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode && !f.single {
		nodes = value.Content
	}
	var values []string
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			return fmt.Errorf("line %d: %s is empty or not plain text", n.Line, key.Value)
		}
		values = append(values, n.Value)
	}
	if len(values) == 0 {
		return fmt.Errorf("line %d: %s is an empty list", key.Line, key.Value)
	}
	if err := f.set(e, values); err != nil {
		return fmt.Errorf("line %d: %s: %w", key.Line, key.Value, err)
	}
	return nil
}

// judgeExpiry decides whether the entry is over. A day counts to its end in UTC.
func (e *entry) judgeExpiry(now time.Time) error {
	if e.expires == "" {
		return nil
	}
	end, err := time.Parse(time.DateOnly, e.expires)
	if err == nil {
		end = end.AddDate(0, 0, 1)
	} else if end, err = time.Parse(time.RFC3339, e.expires); err != nil {
		return fmt.Errorf("expiry %q is not a date: want YYYY-MM-DD", e.expires)
	}
	e.expired = !now.Before(end)
	return nil
}

// parseList reads lines of "ID [exp:YYYY-MM-DD]"; # starts a comment.
func parseList(name string, data []byte, now time.Time) ([]*entry, error) {
	var entries []*entry
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		text, comment, _ := strings.Cut(line, "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		e := &entry{file: name, line: number, ids: []string{strings.ToUpper(fields[0])}, reason: strings.TrimSpace(comment)}
		for _, f := range fields[1:] {
			day, ok := strings.CutPrefix(f, "exp:")
			if !ok {
				return nil, fmt.Errorf("line %d: unexpected %q after the identifier (want exp:YYYY-MM-DD or a # comment)", number, f)
			}
			e.expires = day
		}
		if err := e.judgeExpiry(now); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// glob matches a slash-separated name against a pattern: each segment as in
// path.Match, and ** takes any number of segments.
func glob(pattern, name string) bool {
	return globSegments(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func globSegments(pattern, name []string) bool {
	for i, p := range pattern {
		if p == "**" {
			for len(name) > 0 && !globSegments(pattern[i+1:], name) {
				name = name[1:]
			}
			return len(name) > 0 || i == len(pattern)-1
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(p, name[0]); err != nil || !ok {
			return false
		}
		name = name[1:]
	}
	return len(name) == 0
}

func checkGlobs(patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q: %w", p, err)
		}
		if strings.Count(p, "**") > 4 {
			return fmt.Errorf("%q has more than four **", p)
		}
	}
	return nil
}
