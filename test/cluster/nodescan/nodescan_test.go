// Package nodescan proves 'seawall scan host' on the nodes of real clusters: what
// it says of Kubernetes there is what the cluster was started with.
package nodescan

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/posture"
)

// asSeawall makes this test binary the program itself, for the node to run.
const asSeawall = "SEAWALL_NODESCAN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSeawall) == "1" {
		os.Exit(cli.Run(context.Background(), cli.Invocation{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	os.Exit(m.Run())
}

// scan runs on the node and returns the rules about Kubernetes by status.
func scan(t *testing.T, c *cluster.Cluster) map[seawall.Status]map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.NodeCommand(t.Context(), self, "scan", "host", "--scanners", "misconfig", "--format", "json", "--offline", "--no-progress", "--cache-dir", t.TempDir())
	cmd.Env = append(os.Environ(), asSeawall+"=1")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var report seawall.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	got := map[seawall.Status]map[string]string{}
	for _, f := range report.Findings {
		if strings.HasPrefix(f.Rule, "SW-K8S-") || strings.HasPrefix(f.Rule, "SW-NODE-") {
			if got[f.Status] == nil {
				got[f.Status] = map[string]string{}
			}
			got[f.Status][f.Rule] += f.Evidence + f.Reason + "\n"
		}
	}
	return got
}

func rules(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// TestAsKubeadmMakesIt: what is wrong with a node as kubeadm sets it up, no more and no less.
func TestAsKubeadmMakesIt(t *testing.T) {
	testenv.Root(t)
	got := scan(t, cluster.Start(t, cluster.Options{Kubeadm: true}))
	want := []string{
		"SW-K8S-001", "SW-K8S-004", "SW-K8S-006", "SW-K8S-011", "SW-K8S-013", "SW-K8S-018", // anonymous, admission, kubelets unverified, profiling
		"SW-K8S-019", "SW-K8S-020", "SW-K8S-021", "SW-K8S-022", // no audit log
		"SW-K8S-030", "SW-K8S-031", "SW-K8S-033", "SW-K8S-034", "SW-K8S-039", "SW-K8S-041", // no encryption, ciphers, long tokens, audit policy, no default of pod security
		"SW-K8S-102", "SW-K8S-121", // profiling
		"SW-NODE-010", "SW-NODE-012", "SW-NODE-013", "SW-NODE-014", "SW-NODE-015", // kubelet: rotation, ciphers, process numbers, seccomp, kernel settings
		"SW-NODE-167", // the administrator's kubeconfig
	}
	if diff := cmp.Diff(want, rules(got[seawall.StatusFail])); diff != "" {
		t.Errorf("failing (-want +got):\n%s", diff)
	}
	if len(got[seawall.StatusNotEvaluated]) > 0 {
		t.Errorf("not evaluated on the node itself: %v", got[seawall.StatusNotEvaluated])
	}
}

// TestWeakAndHardened: what fails on the one passes on the other, and nothing is left unjudged.
// Package posture scans the same clusters in every run; here their nodes are held against the limits alone.
func TestWeakAndHardened(t *testing.T) {
	testenv.Root(t)
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("two more clusters: set SEAWALL_LONG=1")
	}
	var weak, hardened map[seawall.Status]map[string]string
	// The machine has one cluster at a time: each ends with its part of the test.
	t.Run("weak", func(t *testing.T) { weak = scan(t, cluster.Start(t, posture.Weak())) })
	t.Run("hardened", func(t *testing.T) { hardened = scan(t, cluster.Start(t, posture.Hardened())) })
	cannot := map[string]string{
		"SW-K8S-013":  "AlwaysPullImages: the machine has no registry",
		"SW-K8S-032":  "a key management service",
		"SW-NODE-015": "protectKernelDefaults: the kernel's settings are the real machine's",
		"SW-NODE-167": "the administrator's kubeconfig lies on the node",
	}
	if n := len(weak[seawall.StatusFail]); n < 65 {
		t.Errorf("only %d rules fail on the weak node: %v", n, rules(weak[seawall.StatusFail]))
	}
	for rule := range weak[seawall.StatusFail] {
		_, passes := hardened[seawall.StatusPass][rule]
		_, inapplicable := hardened[seawall.StatusNotApplicable][rule] // what listens on loopback needs no ciphers
		if cannot[rule] == "" && !passes && !inapplicable {
			t.Errorf("%s fails on the weak node and does not pass on the hardened one", rule)
		}
	}
	for rule, words := range hardened[seawall.StatusFail] {
		if cannot[rule] == "" {
			t.Errorf("%s fails on the hardened node: %s", rule, words)
		}
	}
	for _, got := range []map[seawall.Status]map[string]string{weak, hardened} {
		if left := got[seawall.StatusNotEvaluated]; len(left) > 0 {
			t.Errorf("not evaluated on the node itself: %v", left)
		}
	}
}
