package posture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/posture"
)

var update = flag.Bool("update", false, "write the golden file")

// asSeawall makes this test binary the program itself, for the node to run.
const asSeawall = "SEAWALL_POSTURE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSeawall) != "" {
		os.Exit(cli.Run(context.Background(), cli.Invocation{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	testenv.Main(m)
}

// neverHardened are controls that fail on the hardened cluster, too, with the reason.
func neverHardened() map[string]string {
	return map[string]string{
		"SW-AUTH-012": "verifying images needs an admission webhook of somebody else",
		"SW-DATA-014": "so does a store of secrets",
		"SW-K8S-013":  "AlwaysPullImages needs a registry",
		"SW-K8S-032":  "it needs a key management service",
		"SW-NODE-015": "protectKernelDefaults needs settings of the real machine's kernel",
		"SW-VER-003":  "containerd is the machine's",
		"SW-VER-008":  "Kubernetes' own controllers still ask for Endpoints",
		"SW-VER-009":  "AppArmor is not in the machine's kernel",
	}
}

// TestWeakAndHardened scans both clusters, through the API and on the node: no
// control fails on the hardened one, and those in the golden file fail on the weak and
// pass on the hardened one. -update writes the file.
func TestWeakAndHardened(t *testing.T) {
	weak := judge(t, "weak", posture.Weak())
	hardened := judge(t, "hardened", posture.Hardened())
	var shown, others []string
	for _, rule := range slices.Sorted(maps.Keys(merged(weak, hardened))) {
		w, h := weak[rule].verdict, hardened[rule].verdict
		if w == seawall.StatusFail && h == seawall.StatusPass {
			shown = append(shown, rule)
			continue
		}
		others = append(others, fmt.Sprintf("%s %s %s", rule, w, h))
		if why := neverHardened()[rule]; h == seawall.StatusFail && why == "" {
			t.Errorf("%s fails on the hardened cluster: %s", rule, hardened[rule].where)
		}
	}
	t.Logf("%d controls fail on the weak and pass on the hardened cluster; the others:\n%s", len(shown), strings.Join(others, "\n"))
	golden := filepath.Join("testdata", "exercised.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(shown, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range strings.Fields(string(want)) {
		if !slices.Contains(shown, rule) {
			t.Errorf("%s: %q on the weak cluster, %q on the hardened one (%s)", rule, weak[rule].verdict, hardened[rule].verdict, hardened[rule].where)
		}
	}
}

// judgement is what one control says about a cluster.
type judgement struct {
	verdict seawall.Status
	where   string
}

func merged(all ...map[string]judgement) map[string]judgement {
	m := map[string]judgement{}
	for _, one := range all {
		maps.Copy(m, one)
	}
	return m
}

func judge(t *testing.T, kind string, options cluster.Options) map[string]judgement {
	t.Helper()
	c := cluster.Start(t, options)
	defer c.Close(t)
	posture.Apply(t, c, kind)
	if kind == "weak" {
		posture.Loosen(t, c)
	} else {
		posture.Tighten(t, c)
	}
	all := map[string]judgement{}
	for _, f := range append(scanCluster(t, c), scanNode(t, c)...) {
		if !aboutClusters(f) {
			continue
		}
		if now := all[f.Rule]; weight(f.Status) > weight(now.verdict) {
			all[f.Rule] = judgement{f.Status, place(f) + " " + f.Evidence}
		}
	}
	return all
}

// aboutClusters leaves out what is the same for every cluster: the real machine
// that the node is part of, and the privileges that kubeadm's own pods have.
func aboutClusters(f seawall.Finding) bool {
	area := strings.Split(f.Rule, "-")
	if len(area) != 3 || area[0] != "SW" || slices.Contains([]string{"LNX", "DKR"}, area[1]) {
		return false
	}
	return f.Status != seawall.StatusFail || !strings.Contains(place(f), "/kube-system/")
}

func place(f seawall.Finding) string {
	if f.Location == nil {
		return ""
	}
	return f.Location.Resource + f.Location.Path
}

// weight says which of a control's verdicts on several things is the one on all.
func weight(s seawall.Status) int {
	return slices.Index([]seawall.Status{"", seawall.StatusNotApplicable, seawall.StatusNotEvaluated, seawall.StatusPass, seawall.StatusFail}, s)
}

func scanCluster(t *testing.T, c *cluster.Cluster) []seawall.Finding {
	t.Helper()
	var out, stderr bytes.Buffer
	code := cli.Run(t.Context(), cli.Invocation{
		Args:    []string{"scan", "cluster", "--format", "json", "--no-progress"},
		Environ: []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + c.Kubeconfig()},
		Stdout:  &out, Stderr: &stderr,
	})
	if code != 0 {
		t.Fatalf("scan cluster: exit %d: %s", code, stderr.String())
	}
	return findings(t, out.Bytes())
}

func scanNode(t *testing.T, c *cluster.Cluster) []seawall.Finding {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := c.NodeCommand(t.Context(), self, "scan", "host", "--scanners", "misconfig", "--format", "json", "--offline", "--no-progress")
	cmd.Env = append(os.Environ(), asSeawall+"=1", "HOME="+t.TempDir())
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("scan host: %v: %s", err, stderr.String())
	}
	return findings(t, out.Bytes())
}

func findings(t *testing.T, report []byte) []seawall.Finding {
	t.Helper()
	var r seawall.Report
	if err := json.Unmarshal(report, &r); err != nil {
		t.Fatal(err)
	}
	return r.Findings
}
