package rules

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// matcher compares one value. It does not allocate.
type matcher func(v *seawall.Value) bool

// newMatcher compiles an operator and its right side for a field; negated
// operators are the caller's. An error says what does not fit.
func newMatcher(f *Field, operator string, right []string, numeric bool) (matcher, error) {
	if numeric {
		return matchNumbers(operator, right)
	}
	switch f.Type {
	case TypeNumber:
		return matchNumbers(operator, right)
	case TypeFlag:
		return matchFlag(f, operator, right)
	case TypeAddress:
		return matchAddresses(f, operator, right)
	}
	return matchText(f, operator, right)
}

func matchText(f *Field, operator string, right []string) (matcher, error) {
	first := ""
	if len(right) > 0 {
		first = right[0]
	}
	switch operator {
	case "=":
		return func(v *seawall.Value) bool { return v.Text == first }, nil
	case "in", "intersects":
		set := make(map[string]struct{}, len(right))
		for _, r := range right {
			set[r] = struct{}{}
		}
		return func(v *seawall.Value) bool { _, ok := set[v.Text]; return ok }, nil
	case "contains":
		return func(v *seawall.Value) bool { return strings.Contains(v.Text, first) }, nil
	case "icontains":
		return func(v *seawall.Value) bool { return containsFold(v.Text, first) }, nil
	case "startswith":
		return func(v *seawall.Value) bool { return strings.HasPrefix(v.Text, first) }, nil
	case "endswith":
		return func(v *seawall.Value) bool { return strings.HasSuffix(v.Text, first) }, nil
	case "bcontains", "bstartswith":
		raw, err := hex.DecodeString(first)
		if err != nil {
			return nil, fmt.Errorf("%s %q: want bytes as hexadecimal digits", operator, first)
		}
		if operator == "bcontains" {
			return func(v *seawall.Value) bool { return strings.Contains(v.Text, string(raw)) }, nil
		}
		return func(v *seawall.Value) bool { return strings.HasPrefix(v.Text, string(raw)) }, nil
	case "glob", "iglob":
		fold := operator == "iglob"
		return func(v *seawall.Value) bool { return glob(first, v.Text, fold) }, nil
	case "regex":
		re, err := regexp.Compile(`\A(?:` + first + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("regex: %w", err)
		}
		return func(v *seawall.Value) bool { return re.MatchString(v.Text) }, nil
	case "pmatch":
		return func(v *seawall.Value) bool {
			for _, p := range right {
				if below(p, v.Text) {
					return true
				}
			}
			return false
		}, nil
	case "<", "<=", ">", ">=":
		return textAsNumber(operator, right)
	}
	return nil, fmt.Errorf("%s is a text: %s is not for texts", f.Name, operator)
}

// textAsNumber compares texts that are numbers, as arguments of events are.
func textAsNumber(operator string, right []string) (matcher, error) {
	numbers, err := matchNumbers(operator, right)
	if err != nil {
		return nil, err
	}
	return func(v *seawall.Value) bool {
		n, err := strconv.ParseInt(v.Text, 0, 64)
		if err != nil {
			return false
		}
		v.Number = n
		return numbers(v)
	}, nil
}

func matchNumbers(operator string, right []string) (matcher, error) {
	var want []int64
	for _, r := range right {
		n, err := strconv.ParseInt(r, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", r)
		}
		want = append(want, n)
	}
	n := int64(0)
	if len(want) > 0 {
		n = want[0]
	}
	switch operator {
	case "=":
		return func(v *seawall.Value) bool { return v.Number == n }, nil
	case "<":
		return func(v *seawall.Value) bool { return v.Number < n }, nil
	case "<=":
		return func(v *seawall.Value) bool { return v.Number <= n }, nil
	case ">":
		return func(v *seawall.Value) bool { return v.Number > n }, nil
	case ">=":
		return func(v *seawall.Value) bool { return v.Number >= n }, nil
	case "in", "intersects":
		return func(v *seawall.Value) bool {
			for _, w := range want {
				if v.Number == w {
					return true
				}
			}
			return false
		}, nil
	}
	return nil, fmt.Errorf("%s is not for numbers", operator)
}

func matchFlag(f *Field, operator string, right []string) (matcher, error) {
	var want [2]bool
	for _, r := range right {
		switch strings.ToLower(r) {
		case "true", "1":
			want[1] = true
		case "false", "0":
			want[0] = true
		default:
			return nil, fmt.Errorf("%s is true or false, never %q", f.Name, r)
		}
	}
	if operator != "=" && operator != "in" {
		return nil, fmt.Errorf("%s is true or false: %s is not for it", f.Name, operator)
	}
	return func(v *seawall.Value) bool { return want[v.Number&1] }, nil
}

func matchAddresses(f *Field, operator string, right []string) (matcher, error) {
	if operator != "=" && operator != "in" {
		return nil, fmt.Errorf("%s is an address: %s is not for addresses", f.Name, operator)
	}
	var nets []netip.Prefix
	for _, r := range right {
		p, err := netip.ParsePrefix(strings.Trim(r, "[]"))
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(strings.Trim(r, "[]")); err == nil {
				p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an address nor a network", f.Name, r)
		}
		nets = append(nets, p.Masked())
	}
	return func(v *seawall.Value) bool {
		for _, p := range nets {
			if p.Contains(v.Address) {
				return true
			}
		}
		return false
	}, nil
}

// containsFold looks for a text whatever the case of ASCII letters.
func containsFold(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return true
		}
	}
	return part == ""
}

// glob is fnmatch(3) without flags: * also matches slashes.
func glob(pattern, s string, fold bool) bool {
	star, mark := -1, 0
	p := 0
	for i := 0; i < len(s); {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, i
				p++
				continue
			}
			if n, ok := globOne(pattern[p:], s[i], fold); ok {
				p, i = p+n, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne matches one byte with the first element of a pattern and returns the element's length.
func globOne(pattern string, c byte, fold bool) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if n, ok, valid := globClass(pattern, c, fold); valid {
			return n, ok
		}
	case '\\':
		if len(pattern) > 1 {
			return 2, same(pattern[1], c, fold)
		}
	}
	return 1, same(pattern[0], c, fold)
}

func same(a, b byte, fold bool) bool { return a == b || fold && lower(a) == lower(b) }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// globClass matches [a-z], [!a] and [^a]; valid is false when it has no end.
func globClass(pattern string, c byte, fold bool) (n int, ok, valid bool) {
	i, negated := 1, false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		negated = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negated, true
		}
		low := pattern[i]
		high := low
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			high = pattern[i+2]
			i += 2
		}
		i++
		if low <= c && c <= high || fold && lower(low) <= lower(c) && lower(c) <= lower(high) {
			ok = true
		}
	}
	return 0, false, false
}

// below says whether a path is the pattern's or in it: both are compared by
// component, those of the pattern may be globs.
func below(pattern, path string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	for pattern != "" {
		var want, have string
		want, pattern, _ = strings.Cut(pattern, "/")
		var more bool
		have, path, more = strings.Cut(path, "/")
		if !glob(want, have, false) || !more && pattern != "" {
			return false
		}
	}
	return true
}

// transform applies one transformer; ok is false when the value has none.
func transform(name string, f *Field, v *seawall.Value) bool {
	switch name {
	case "tolower":
		v.Text = strings.ToLower(v.Text)
	case "toupper":
		v.Text = strings.ToUpper(v.Text)
	case "basename":
		v.Text = v.Text[strings.LastIndexByte(v.Text, '/')+1:]
	case "b64":
		raw, err := base64.StdEncoding.DecodeString(v.Text)
		if err != nil {
			return false
		}
		v.Text = string(raw)
	case "len":
		v.Number = int64(len(f.write(v)))
	}
	return true
}
