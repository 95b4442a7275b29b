package posture

import (
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/network"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/manifest"
)

const exposedShop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: web, ports: [{containerPort: 80}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec: {selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: db}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
`

// An image is exposed when one of the workloads that run it is; what nobody runs,
// or where something was not read, is not known.
func TestExposure(t *testing.T) {
	target, err := manifest.Open([]string{"-"}, manifest.Options{Stdin: strings.NewReader(exposedShop)})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := target.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var objects []seawall.Object
	for _, f := range facts {
		if f.Object != nil {
			objects = append(objects, *f.Object)
		}
	}
	s := &snapshot{reached: network.Exposed(objects)}
	for _, tc := range []struct {
		workloads []string
		want      string
	}{
		{[]string{"Deployment/shop/web"}, "true"},
		{[]string{"Deployment/shop/db"}, "false"},
		{[]string{"Deployment/shop/db", "Deployment/shop/web"}, "true"},
		{nil, "unknown"},
	} {
		got := "unknown"
		if e := s.exposure(&seawall.Asset{Workloads: tc.workloads}); e != nil {
			got = map[bool]string{true: "true", false: "false"}[*e]
		}
		if got != tc.want {
			t.Errorf("%v: %s, want %s", tc.workloads, got, tc.want)
		}
	}
	if e := (&snapshot{}).exposure(&seawall.Asset{Workloads: []string{"Deployment/shop/web"}}); e != nil {
		t.Errorf("nothing read: %v", *e)
	}
}
