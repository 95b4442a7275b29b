package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seawall-agent": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", RequireExplicitExec: true})
}

// The agent stays small: what it must never link (docs/adr/0001).
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{
		"seawall/internal/inventory", "seawall/internal/advisory", "seawall/internal/store", "seawall/internal/policy/kube", "seawall/internal/source", "seawall/internal/scan",
		"k8s.io/client-go", "k8s.io/apiserver", "github.com/google/go-containerregistry", "github.com/sigstore",
	} {
		if strings.Contains(string(out), forbidden) {
			t.Errorf("the agent links %s", forbidden)
		}
	}
}
