package kube

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

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
	at, _ := doc.At(strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' })...)
	place := at.Place()
	var text policy.Text
	if m := position().FindStringSubmatch(message); m != nil && at.Decode(&text) == nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		place, message = text.Within(line, column), m[3]
	}
	message = strings.TrimSuffix(message, " (in container '')")
	return place.Errorf("%s: %w", path, fmt.Errorf("%s", message))
}
