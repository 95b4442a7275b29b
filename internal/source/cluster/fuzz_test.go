package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

// FuzzPage: whatever an API server answers, objects are sound JSON of the kind
// asked for, without managedFields, or the answer is an error.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"PodList","metadata":{"continue":"x"},"items":[{"metadata":{"name":"a","managedFields":[{}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}},"status":{"phase":"Running","containerStatuses":[{"name":"a","imageID":"docker://x@sha256:1"}]}}]}`,
		`{"items":[{"metadata":{},"spec":{"versions":[{"schema":{}}]}}]}`, `{"items":null}`, `{"items":{}}`, `{`, `{"items":[{}]}`, `{"items":[{"metadata":null}]}`,
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(1))
	}
	kinds := []string{"Pod", "CustomResourceDefinition", "Node", "ConfigMap"}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		s := &snapshot{target: &Target{options: Options{Images: true}, images: newImageIndex()}, owners: map[string]*owner{}}
		sv := served{apiVersion: "v1", kind: kinds[int(kind)%len(kinds)]}
		_, err := decodePage(bytes.NewReader(body), func(raw []byte) error {
			it, err := parseItem(raw)
			if err != nil {
				return err
			}
			if sv.kind == "Pod" {
				if _, err := s.pod(it); err != nil {
					return err
				}
			}
			o, err := it.object(sv)
			if err != nil {
				return err
			}
			var back struct {
				Kind     string
				Metadata map[string]any
			}
			if err := json.Unmarshal(o.JSON, &back); err != nil || back.Kind != sv.kind || back.Metadata["managedFields"] != nil {
				t.Errorf("%s: %v", o.JSON, err)
			}
			return nil
		})
		if err != nil && !errors.Is(err, seawall.ErrCorrupt) && !errors.Is(err, seawall.ErrTransient) {
			t.Errorf("error %v", err)
		}
	})
}
