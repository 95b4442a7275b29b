package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/seawall"
)

func standards(t *testing.T) []*control.Control {
	t.Helper()
	list, err := control.Load(files, "podsecurity.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestEveryStandard: each check of upstream has a control, with its level and a place to look.
func TestEveryStandard(t *testing.T) {
	have := map[string]bool{}
	for _, c := range standards(t) {
		for _, f := range c.Frameworks {
			if strings.HasPrefix(f, "pss-") {
				have[f] = true
			}
		}
	}
	places := podSecurityPlaces()
	for _, c := range policy.DefaultChecks() {
		id := fmt.Sprintf("pss-%s:%s", c.Level, c.ID)
		if !have[id] {
			t.Errorf("no control is %s", id)
		}
		if _, ok := places[string(c.ID)]; !ok {
			t.Errorf("%s has no place", c.ID)
		}
		delete(have, id)
	}
	for id := range have {
		t.Errorf("%s is no check of upstream's", id)
	}
}

// randomPod has a few of the settings the standards are about.
func randomPod(r *rand.Rand) corev1.PodSpec {
	flip := func() bool { return r.IntN(3) == 0 }
	pick := func(values ...*bool) *bool { return values[r.IntN(len(values))] }
	yes, no := true, false
	context := func() *corev1.SecurityContext {
		c := &corev1.SecurityContext{Privileged: pick(nil, nil, &yes, &no), AllowPrivilegeEscalation: pick(nil, &yes, &no), RunAsNonRoot: pick(nil, &yes, &no)}
		if flip() {
			c.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{[]corev1.Capability{"CHOWN", "SYS_ADMIN", "NET_BIND_SERVICE"}[r.IntN(3)]}}
			if flip() {
				c.Capabilities.Drop = []corev1.Capability{"ALL"}
			}
		}
		if flip() {
			c.SeccompProfile = &corev1.SeccompProfile{Type: []corev1.SeccompProfileType{"Unconfined", "RuntimeDefault"}[r.IntN(2)]}
		}
		if flip() {
			c.RunAsUser = new(int64(r.IntN(2)))
		}
		if flip() {
			c.ProcMount = new(corev1.UnmaskedProcMount)
		}
		if flip() {
			c.AppArmorProfile = &corev1.AppArmorProfile{Type: []corev1.AppArmorProfileType{"Unconfined", "RuntimeDefault"}[r.IntN(2)]}
		}
		return c
	}
	var spec corev1.PodSpec
	for i := range 1 + r.IntN(3) {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "i"}
		if !flip() {
			c.SecurityContext = context()
		}
		if flip() {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: int32(r.IntN(2))}}
		}
		if flip() {
			spec.InitContainers = append(spec.InitContainers, c)
		} else {
			spec.Containers = append(spec.Containers, c)
		}
	}
	spec.HostPID, spec.HostIPC, spec.HostNetwork = flip(), flip(), flip()
	if flip() {
		spec.HostUsers = &no
	}
	if flip() {
		spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}}}}
	}
	if flip() {
		spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: pick(nil, &yes, &no)}
		if flip() {
			spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: "RuntimeDefault"}
		}
		if flip() {
			spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "1"}}
		}
	}
	return spec
}

// TestAgainstUpstream: our findings name exactly the checks that upstream's
// evaluator refuses a pod by, for every version of the standards.
func TestAgainstUpstream(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, minor := range []int{19, 22, 25, 31, 34, 36} {
		version := api.MajorMinorVersion(1, minor)
		d := control.New(control.Options{Name: "pss", Load: func() ([]*control.Control, error) { return standards(t), nil }, Checks: Checks(version)})
		for range 100 {
			spec := randomPod(r)
			var want []string
			for _, c := range policy.DefaultChecks() {
				one, err := policy.NewEvaluator([]policy.Check{c}, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, result := range one.EvaluatePod(api.LevelVersion{Level: c.Level, Version: version}, &metav1.ObjectMeta{}, &spec) {
					if !result.Allowed {
						want = append(want, fmt.Sprintf("pss-%s:%s", c.Level, c.ID))
					}
				}
			}
			body, err := json.Marshal(corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Spec: spec})
			if err != nil {
				t.Fatal(err)
			}
			res, err := d.Detect(context.Background(), detect.Facts{Objects: []seawall.Object{{APIVersion: "v1", Kind: "Pod", Name: "p", JSON: body}}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range res.Findings {
				if f.Status == seawall.StatusFail {
					got = append(got, f.Frameworks[0])
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
				t.Fatalf("1.%d: %s\n%s", minor, diff, body)
			}
		}
	}
}

// TestPodSecurityVersion: an older standard knows fewer checks; what it does not know is not applicable.
func TestPodSecurityVersion(t *testing.T) {
	pod := seawall.Object{APIVersion: "v1", Kind: "Pod", Name: "p", JSON: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":null,"spec":{"containers":[{"name":"a","livenessProbe":{"httpGet":{"port":80,"host":"x"}}}]}}`)}
	status := func(version string) seawall.Status {
		d, err := New(Options{PodSecurityVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		res, err := d.Detect(context.Background(), detect.Facts{Asset: seawall.Asset{Kind: seawall.AssetManifests}, Objects: []seawall.Object{pod}, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(res.Findings, func(f seawall.Finding) bool { return f.Rule == "SW-PSS-008" })
		return res.Findings[i].Status
	}
	if old, latest := status("v1.33"), status("latest"); old != seawall.StatusNotApplicable || latest != seawall.StatusFail {
		t.Errorf("v1.33 %s, latest %s", old, latest)
	}
	if _, err := New(Options{PodSecurityVersion: "new"}); err == nil || !strings.Contains(err.Error(), "--pod-security-version new") {
		t.Errorf("error %v", err)
	}
}
