package host

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/hostcfg"
	"github.com/seawall-security/seawall/internal/inventory/ospkg"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/rootfs"
	"github.com/seawall-security/seawall/internal/testenv"
)

// factsOf are those of a directory as a host, by the same parts as scan host.
func factsOf(t testing.TB, dir string) detect.Facts {
	t.Helper()
	var target seawall.Target
	for _, o := range rootfs.Openers() {
		if slices.Contains(o.Schemes(), string(seawall.AssetHost)) {
			var err error
			if target, err = o.Open(context.Background(), dir, source.Options{Live: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer target.Close()
	inv, err := inventory.Run(context.Background(), target, inventory.Options{Collectors: append(ospkg.Collectors(), hostcfg.New())})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range inv.Configs {
		if strings.HasPrefix(c.Kind, "host/raw") {
			t.Errorf("a raw fact is left: %s %s", c.Kind, c.Path)
		}
	}
	return detect.Facts{
		Asset: *inv.Asset, Packages: inv.Packages, Files: inv.Files, Configs: inv.Configs, Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
}

// judge are the findings about a directory as a host.
func judge(t testing.TB, dir string) []seawall.Finding {
	t.Helper()
	res, err := New().Detect(context.Background(), factsOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if res.Partial != "" {
		t.Errorf("partial: %s", res.Partial)
	}
	return res.Findings
}

func ruleIDs(findings []seawall.Finding, status seawall.Status) map[string]bool {
	ids := map[string]bool{}
	for _, f := range findings {
		if f.Status == status {
			ids[f.Rule] = true
		}
	}
	return ids
}

// TestEveryControlOnWeakAndHardened: each control fails on a weak machine and
// passes on a hardened one, on which none fails.
func TestEveryControlOnWeakAndHardened(t *testing.T) {
	testenv.Root(t)
	failed, passed := map[string]bool{}, map[string]bool{}
	for _, name := range []string{"weak", "weak-redhat", "weak-iptables"} {
		for id := range ruleIDs(judge(t, plant(t, name)), seawall.StatusFail) {
			failed[id] = true
		}
	}
	for _, name := range []string{"hardened", "hardened-redhat"} {
		findings := judge(t, plant(t, name))
		for _, f := range findings {
			if f.Status == seawall.StatusFail {
				t.Errorf("%s: %s %s: %s", name, f.Rule, f.Title, f.Evidence)
			}
			if f.Status == seawall.StatusNotEvaluated && name == "hardened" {
				t.Errorf("%s: %s %s: not evaluated: %s", name, f.Rule, f.Title, f.Reason)
			}
		}
		for id := range ruleIDs(findings, seawall.StatusPass) {
			passed[id] = true
		}
	}
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		if !failed[c.ID] {
			t.Errorf("%s %s: fails on no weak machine", c.ID, c.Title)
		}
		if !passed[c.ID] {
			t.Errorf("%s %s: passes on no hardened machine", c.ID, c.Title)
		}
	}
}

// TestControlsAreComplete: at least the 180 that were promised, each with its
// reference and without an identifier twice.
func TestControlsAreComplete(t *testing.T) {
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	if len(controls) < 180 {
		t.Errorf("%d controls", len(controls))
	}
	for _, c := range controls {
		if !strings.HasPrefix(c.ID, "SW-LNX-") || len(c.References) == 0 || c.Evidence.Text == "" {
			t.Errorf("%s: identifier, references or evidence", c.ID)
		}
	}
}

// TestNotARunningSystem: without /proc nothing that needs it passes or fails.
func TestNotARunningSystem(t *testing.T) {
	dir := t.TempDir()
	p := planter{t, dir}
	p.file("etc/passwd", "root:x:0:0::/root:/bin/bash\n", 0o644)
	controls, err := Controls()
	if err != nil {
		t.Fatal(err)
	}
	live := map[string]bool{}
	for _, c := range controls {
		for _, kind := range []string{"host/sysctl", "host/kernel", "host/mounts", "host/socket", "host/mac", "host/swap"} {
			if slices.Contains(c.Inspects, kind) {
				live[c.ID] = true
			}
		}
	}
	if len(live) < 80 {
		t.Fatalf("%d controls of the running system", len(live))
	}
	for _, f := range judge(t, dir) {
		if live[f.Rule] && (f.Status != seawall.StatusNotEvaluated || !strings.Contains(f.Reason, "no /proc here")) {
			t.Errorf("%s is %s: %s", f.Rule, f.Status, f.Reason)
		}
	}
}

// TestNoHash: what of shadow goes on is never a hash.
func TestNoHash(t *testing.T) {
	testenv.Root(t)
	var report strings.Builder
	for _, f := range judge(t, plant(t, "weak")) {
		report.WriteString(f.Evidence + f.Reason)
	}
	for _, hash := range []string{"$1$", "AAdeshashed"} {
		if strings.Contains(report.String(), hash) {
			t.Errorf("the hash %s is in the findings", hash)
		}
	}
}

// TestEvidence: findings say where, what and for whom.
func TestEvidence(t *testing.T) {
	testenv.Root(t)
	want := map[string]string{
		"SW-LNX-050": "proc/sys: kernel.randomize_va_space = 1",
		"SW-LNX-157": "proc/1/net/tcp: a process on 0.0.0.0:111/tcp",
		"SW-LNX-230": "etc/shadow: toor has no password",
		"SW-LNX-267": "etc/sudoers: bob ALL=(ALL) NOPASSWD: ALL",
		"SW-LNX-290": "etc/ssh/sshd_config: PermitRootLogin yes",
		"SW-LNX-466": "var/lib/dpkg/status: cron (7)",
		"SW-LNX-451": "etc/apt: /etc/apt/sources.list: deb [trusted=yes] http://packages.example bookworm main",
	}
	got := map[string]string{}
	for _, f := range judge(t, plant(t, "weak")) {
		if _, asked := want[f.Rule]; asked && f.Status == seawall.StatusFail {
			got[f.Rule] = f.Location.Path + ": " + f.Evidence
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// BenchmarkDetect is a run from the first: controls are read and compiled.
func BenchmarkDetect(b *testing.B) {
	testenv.Root(b)
	facts := factsOf(b, plant(b, "weak"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New().Detect(context.Background(), facts); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPlaces: no two findings of a control are at the same place, so that each
// keeps its identifier when another comes or goes.
func TestPlaces(t *testing.T) {
	testenv.Root(t)
	seen := map[string]string{}
	for _, f := range judge(t, plant(t, "weak")) {
		if f.Status != seawall.StatusFail {
			continue
		}
		place := f.Rule + " " + f.Location.Path + " " + f.Location.Field
		if other, twice := seen[place]; twice {
			t.Errorf("%s: %q and %q", place, other, f.Evidence)
		}
		seen[place] = f.Evidence
	}
}
