package scan

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/secret"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	sinkall "github.com/seawall-security/seawall/internal/sink/all"
)

// describedTarget is an image with a configuration.
type describedTarget struct {
	memTarget
	image *seawall.ImageInfo
}

func (t describedTarget) Asset() seawall.Asset {
	a := t.memTarget.Asset()
	a.Image = t.image
	return a
}

// TestNoFormatGivesSecretsAway plants secrets wherever the scan looks and reads
// every format's output for them.
func TestNoFormatGivesSecretsAway(t *testing.T) {
	visible, hidden, env, label, built := "k2Lx9Qw8Zr5Tn1Vb7Mc4Yd", "p8Rt3Zw6Lk1Nx9Qv5Bm2Jc", "h4Vz7Kq2Wn8Xs1Lp6Td9Rf", "c3Mx8Jw5Qz2Lv7Kt1Hn6Ps", "w9Bd4Gx7Nq1Zk6Tm3Vr8Lc"
	secrets := []string{visible, hidden, env, label, built}
	target := describedTarget{
		memTarget{name: "img", closed: new(int), layers: []map[string]string{
			{"srv/app.env": "API_TOKEN=" + hidden + "\n"},
			{"srv/app.env": "API_TOKEN=${API_TOKEN}\n", "srv/new.env": "API_TOKEN=" + visible + "\n"},
		}},
		&seawall.ImageInfo{
			Env: []string{"SESSION_SECRET=" + env}, Labels: map[string]string{"ci.api_token": label},
			History: []seawall.HistoryStep{{CreatedBy: "RUN |1 API_TOKEN=" + built + " make"}},
			Layers:  []seawall.LayerInfo{{Index: 0, CreatedBy: "RUN |1 API_TOKEN=" + built + " make"}},
		},
	}
	collector, detector, err := secret.New(secret.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sinkall.Formats() {
		if f.Name == "template" {
			continue
		}
		var out bytes.Buffer
		h, err := sinkall.Open(f.Name, &out, sink.Options{})
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := Run(context.Background(), Config{
			Collectors: []inventory.Collector{collector}, Detectors: []detect.Detector{detector}, Redact: detector.Redact,
		}, []Target{{Name: "img", Open: func(context.Context, func(seawall.Progress)) (seawall.Target, error) { return target, nil }}}, h)
		if err != nil || outcome.Errors != nil {
			t.Fatalf("%s: %v, %v", f.Name, err, outcome.Errors)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if n := outcome.Summary.Medium; n != len(secrets) {
			t.Errorf("%s: %d secrets found, want %d", f.Name, n, len(secrets))
		}
		for _, s := range secrets {
			if strings.Contains(out.String(), s) || strings.Contains(out.String(), s[6:16]) {
				t.Errorf("%s gives away %q", f.Name, s)
			}
		}
	}
}
