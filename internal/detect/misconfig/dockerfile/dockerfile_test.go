package dockerfile

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

type content struct{ *bytes.Reader }

func facts(t *testing.T, path, text string) []seawall.Fact {
	t.Helper()
	got, err := Collector{}.Collect(t.Context(), seawall.File{Path: path, Content: content{bytes.NewReader([]byte(text))}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDetect goes from a file to findings with place and line.
func TestDetect(t *testing.T) {
	var f detect.Facts
	for _, path := range []string{"api/Dockerfile", "web/Dockerfile"} {
		for _, fact := range facts(t, path, from+"COPY . /app\nRUN sudo x"+sound) {
			f.Matches = append(f.Matches, *fact.Match)
		}
	}
	f.Configs = append(f.Configs, *facts(t, "api/.dockerignore", ".git")[0].Config)
	type place struct {
		rule, path string
		line       int
	}
	for kind, want := range map[seawall.AssetKind][]place{
		seawall.AssetFS:    {{"SW-DF-031", "api/Dockerfile", 3}, {"SW-DF-023", "web/Dockerfile", 2}, {"SW-DF-031", "web/Dockerfile", 3}},
		seawall.AssetImage: nil,
	} {
		f.Asset.Kind = kind
		res, err := Detector{}.Detect(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var got []place
		for _, x := range res.Findings {
			got = append(got, place{x.Rule, x.Location.Path, x.Location.Line})
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(place{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
