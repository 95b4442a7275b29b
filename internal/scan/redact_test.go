package scan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestRedact(t *testing.T) {
	raw := &seawall.ImageInfo{
		Labels: map[string]string{"key": "hush", "team": "a"}, Cmd: []string{"run", "hush"},
		Layers: []seawall.LayerInfo{{CreatedBy: "RUN hush"}},
	}
	asset := seawall.Asset{Image: raw}
	findings := []seawall.Finding{{Layer: &raw.Layers[0]}, {}, {Layer: &seawall.LayerInfo{CreatedBy: "ENV hush"}}}
	s := &scanner{Config: Config{Redact: func(text string) string { return strings.ReplaceAll(text, "hush", "[secret]") }}}
	s.redact(&asset, findings)
	want := &seawall.ImageInfo{
		Labels: map[string]string{"key": "[secret]", "team": "a"}, Entrypoint: nil, Cmd: []string{"run", "[secret]"},
		Layers: []seawall.LayerInfo{{CreatedBy: "RUN [secret]"}},
	}
	if diff := cmp.Diff(want, asset.Image); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	if findings[0].Layer.CreatedBy != "RUN [secret]" || findings[2].Layer.CreatedBy != "ENV [secret]" {
		t.Errorf("layers of findings: %q, %q", findings[0].Layer.CreatedBy, findings[2].Layer.CreatedBy)
	}
	if raw.Labels["key"] != "hush" || raw.Cmd[1] != "hush" || raw.Layers[0].CreatedBy != "RUN hush" {
		t.Errorf("the target's own description changed: %+v", raw)
	}
}
