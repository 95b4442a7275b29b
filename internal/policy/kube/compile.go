package kube

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	v1 "k8s.io/api/admissionregistration/v1"

	"github.com/seawall-security/seawall/internal/policy"
)

// index is an element of a list as people write it.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (p *validatingPolicy) compile() (err error) {
	var mistakes []error
	p.compiled, err = compileValidating(p.ValidatingAdmissionPolicy, noted(p.source, &mistakes))
	return errors.Join(append(mistakes, err)...)
}

func (p *mutatingPolicy) compile() (err error) {
	var mistakes []error
	p.compiled, err = compileMutating(p.MutatingAdmissionPolicy, noted(p.source, &mistakes))
	return errors.Join(append(mistakes, err)...)
}

// noted makes errors of a compiler's messages, with their place in the file.
func noted(doc policy.Source, mistakes *[]error) func(path, message string) {
	return func(path, message string) {
		*mistakes = append(*mistakes, mistake(doc, path, message))
	}
}

// position is how CEL says where in an expression a mistake is, and what.
var position = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`ERROR: <input>:(\d+):(\d+): (.*)`) })

func mistake(doc policy.Source, path, message string) error {
	place, message := placed(doc, path, message)
	return place.Errorf("%s: %w", path, errors.New(message))
}

// CheckValidating compiles a policy as the API server does and gives the first mistake:
// "spec.validations[0].expression: …".
func CheckValidating(p *v1.ValidatingAdmissionPolicy) error {
	var first error
	_, err := compileValidating(p, firstOf(&first))
	return cmp.Or(err, first)
}

// CheckMutating is CheckValidating for mutating policies.
func CheckMutating(p *v1.MutatingAdmissionPolicy) error {
	var first error
	_, err := compileMutating(p, firstOf(&first))
	return cmp.Or(err, first)
}

func firstOf(first *error) func(path, message string) {
	return func(path, message string) {
		if m := position().FindStringSubmatch(message); m != nil {
			message = m[3]
		}
		line, _, _ := strings.Cut(message, "\n")
		*first = cmp.Or(*first, fmt.Errorf("%s: %s", path, strings.TrimSuffix(line, " (in container '')")))
	}
}

// placed is where a compiler's message is about, and what it says.
func placed(doc policy.Source, path, message string) (policy.Place, string) {
	at, _ := doc.At(strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' })...)
	place := at.Place()
	var text policy.Text
	if m := position().FindStringSubmatch(message); m != nil && at.Decode(&text) == nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		place, message = text.Within(line, column), m[3]
	}
	return place, strings.TrimSuffix(message, " (in container '')")
}

// warned tells the mistakes of a type check, each once with the kinds that it is of.
func (p *validatingPolicy) warned(path, warning string) []string {
	kinds := map[string][]string{}
	var order []string
	kind := ""
	for line := range strings.Lines(warning) {
		before, _, found := strings.Cut(line, "ERROR: ")
		if !found {
			continue
		}
		if before != "" {
			kind = strings.TrimSuffix(before, ": ")
		}
		text := strings.TrimPrefix(line, before)
		if kinds[text] == nil {
			order = append(order, text)
		}
		kinds[text] = append(kinds[text], kind)
	}
	var out []string
	for _, text := range order {
		place, message := placed(p.source, path, text)
		out = append(out, fmt.Sprintf("%s: %s: %s (%s)", place, path, message, strings.Join(kinds[text], "; ")))
	}
	return out
}
