package credentials

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestKeys(t *testing.T) {
	k := keys{
		"docker.io":                 {Username: "hub"},
		"registry.example.org":      {Username: "all"},
		"registry.example.org/team": {Username: "team"},
		"*.registry.example.net":    {Username: "wild"},
		"localhost:5000":            {Username: "port"},
	}
	for ref, want := range map[string]string{
		"nginx":                              "hub",
		"registry.example.org/app":           "all",
		"registry.example.org/team/app":      "team",
		"registry.example.org/teams/app":     "all",
		"eu.registry.example.net/app":        "wild",
		"a.eu.registry.example.net/app":      "",
		"localhost:5000/app":                 "port",
		"localhost:5001/app":                 "",
		"registry.example.org.evil.test/app": "",
	} {
		r, err := name.ParseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := k.Resolve(r.Context())
		if err != nil {
			t.Fatal(err)
		}
		config, err := auth.Authorization()
		if err != nil || config.Username != want {
			t.Errorf("%s is pulled as %q, want %q", ref, config.Username, want)
		}
	}
}
