// Package library is a starter set of policies, one file for each intent, with its
// tests beside it: NAME.yaml and NAME.test.yaml.
package library

import (
	"embed"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names are the policies, sorted.
func Names() []string {
	var names []string
	entries, _ := files.ReadDir(".") // embedded: it is there
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok && !strings.HasSuffix(name, ".test") {
			names = append(names, name)
		}
	}
	return names
}

// Text is a policy's file, false for a name that is none.
func Text(name string) ([]byte, bool) {
	text, err := files.ReadFile(name + ".yaml")
	return text, err == nil && !strings.HasSuffix(name, ".test")
}

// Tests is the file of a policy's tests, false for a name that is none.
func Tests(name string) ([]byte, bool) {
	text, err := files.ReadFile(name + ".test.yaml")
	return text, err == nil
}
