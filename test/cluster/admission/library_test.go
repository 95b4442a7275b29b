package admission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

// deployment passes every policy of the library. It makes no pods: nobody pulls its image.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop, labels: {team: shop, app.kubernetes.io/name: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, team: shop, app.kubernetes.io/name: web}}
    spec:
      hostNetwork: false
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: web
        image: IMAGE
        resources: {requests: {cpu: 10m}, limits: {memory: 16Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// testLibrary: every starter policy of the phase deploy admits and denies, through kubectl.
func testLibrary(t *testing.T, c *cluster.Cluster, img images) {
	c.Apply(t, "", `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`)
	for _, name := range library.Names() {
		text, _ := library.Text(name)
		c.Apply(t, "", strings.Replace(string(text), `["registry.example.org", "registry.k8s.io"]`, `["`+img.host+`"]`, 1))
	}
	of := func(name, image string) string {
		return strings.NewReplacer("NAME", name, "IMAGE", image).Replace(deployment)
	}
	// An image that nobody knows is let in, with a warning, and scanned.
	c.Wait(t, "the policies", func() error {
		out, err := kubectl(t, c, of("probe", img.host+"/shop/other"), "create", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(out, "no-latest-tag") || !strings.Contains(out, "signed-by-us") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	for name, image := range map[string]string{"good": img.good, "bad": img.bad, "old": img.old} {
		// The scan may be done before the second of the webhooks is asked.
		if out, err := kubectl(t, c, of("new-"+name, image), "create", "-f", "-"); err != nil && !strings.Contains(out, "no-malware/malware") {
			t.Errorf("an image that nobody scanned: %v: %s", err, out)
		}
	}
	for _, test := range []struct {
		name, image, replace, by string
		// denied are parts of the answer; none: it passes.
		denied []string
	}{
		{"good", img.good, "", "", nil},
		{"old", img.old, "", "", nil}, // end-of-life alerts in deploy
		{"exploited", img.bad, "", "", []string{"no-known-exploited/exploited: CVE-2018-7600 in drupal/core is exploited in the wild; upgrade to 8.5.1",
			"fixable-critical/overdue: CVE-2020-13665", "no-secrets/secret", "no-malware/malware"}},
		{"unsigned", img.unsigned, "", "", []string{"signed-by-us/signed", "is not signed by us"}},
		{"elsewhere", "registry.example.org/app:1", "", "", []string{"trusted-registries/registry", "is not from a trusted registry"}},
		{"latest", img.host + "/shop/app", "", "", []string{"no-latest-tag/latest"}},
		{"limits", img.good, "limits: {memory: 16Mi}", "", []string{"resource-limits/limits: no memory limit or CPU request: container web"}},
		{"labels", img.good, "metadata: {name: NAME, namespace: shop, labels: {team: shop, ", "metadata: {name: NAME, namespace: shop, labels: {", []string{"required-labels/labels: Deployment NAME has no label team"}},
		{"host", img.good, "hostNetwork: false", "hostNetwork: true", []string{"no-host-namespaces/host: Deployment NAME sets hostNetwork", "restricted-pods/restricted"}},
		{"restricted", img.good, "drop: [ALL]", "add: [SYS_ADMIN]", []string{"restricted-pods/restricted"}},
	} {
		manifest := strings.NewReplacer("NAME", test.name, "IMAGE", test.image).Replace(strings.Replace(deployment, test.replace, test.by, 1))
		for i := range test.denied {
			test.denied[i] = strings.ReplaceAll(test.denied[i], "NAME", test.name)
		}
		c.Wait(t, test.name, func() error { // both replicas have to learn of images
			for range 4 {
				out, err := kubectl(t, c, manifest, "create", "--dry-run=server", "-f", "-")
				if (err != nil) != (len(test.denied) > 0) {
					return fmt.Errorf("%w: %s", err, out)
				}
				for _, part := range test.denied {
					if !strings.Contains(out, part) {
						return fmt.Errorf("no %q in %s", part, out)
					}
				}
			}
			return nil
		})
	}
	testException(t, c, of("excepted", img.good), of("refused", img.host+"/shop/app"))
}

// testException: an exception lets pass what it is about, and both say so in their status.
func testException(t *testing.T, c *cluster.Cluster, manifest, refused string) {
	manifest = strings.Replace(manifest, "hostNetwork: false", "hostPID: true", 1)
	c.Apply(t, "", `
apiVersion: seawall.io/v1alpha1
kind: PolicyException
metadata: {name: debugger, namespace: shop}
spec: {policy: no-host-namespaces, owner: platform, reason: looks at processes, expires: 2027-01-31}
---
apiVersion: seawall.io/v1alpha1
kind: PolicyException
metadata: {name: debugger-level, namespace: shop}
spec: {policy: restricted-pods, owner: platform, reason: looks at processes, expires: 2027-01-31}
`)
	c.Wait(t, "the exception", func() error {
		out, err := kubectl(t, c, manifest, "create", "--dry-run=server", "-f", "-")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if out, err := kubectl(t, c, manifest, "create", "-f", "-"); err != nil { // dry runs leave no trace
		t.Errorf("%v: %s", err, out)
	}
	if out, err := kubectl(t, c, refused, "create", "-f", "-"); err == nil {
		t.Errorf("not refused: %s", out)
	}
	c.Wait(t, "the statuses", func() error {
		for _, path := range []string{"policies/no-latest-tag", "policies/no-host-namespaces", "namespaces/shop/policyexceptions/debugger"} {
			o, err := c.Get(t.Context(), "/apis/seawall.io/v1alpha1/"+path)
			if err != nil {
				return err
			}
			if n, _ := o.At("status", "matches").(float64); n < 1 || o.At("status", "active") != true {
				return fmt.Errorf("%s: %v", path, o.At("status"))
			}
		}
		return nil
	})
	out, err := kubectl(t, c, "", "get", "swpol")
	if err != nil || !strings.Contains(out, "MATCHES") || !strings.Contains(out, "no-latest-tag") {
		t.Errorf("%v: %s", err, out)
	}
}
