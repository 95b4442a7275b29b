package signature_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/signature"
	"github.com/seawall-security/seawall/internal/seawall"
)

func TestDetect(t *testing.T) {
	type outcome struct {
		Status   seawall.Status
		Evidence string
		Place    string
	}
	for name, test := range map[string]struct {
		image *seawall.ImageInfo
		want  []outcome
	}{
		"no image":         {nil, nil},
		"nobody asked":     {&seawall.ImageInfo{}, nil},
		"verified":         {&seawall.ImageInfo{Verification: &seawall.Verification{Verified: true, Digest: "sha256:index", Signatures: []seawall.Signature{{Signer: "ci@x"}, {Signer: "ci@x"}, {Signer: "a", Issuer: "https://i"}}}}, []outcome{{"pass", "signed by ci@x, a (https://i)", "sha256:index"}}},
		"not verified":     {&seawall.ImageInfo{Verification: &seawall.Verification{Reason: "wrong-key", Detail: "signed by another"}}, []outcome{{"fail", "wrong-key: signed by another", "sha256:platform"}}},
		"nothing there":    {&seawall.ImageInfo{Verification: &seawall.Verification{Reason: "no-signature"}}, []outcome{{"fail", "no-signature", "sha256:platform"}}},
		"verified no more": {&seawall.ImageInfo{Verification: &seawall.Verification{Reason: "expired", Signatures: []seawall.Signature{{Signer: "x"}}}}, []outcome{{"fail", "expired", "sha256:platform"}}},
	} {
		res, err := signature.Detector{}.Detect(t.Context(), detect.Facts{Asset: seawall.Asset{Name: "app", Digest: "sha256:platform", Image: test.image}})
		if err != nil {
			t.Fatal(err)
		}
		var got []outcome
		for _, f := range res.Findings {
			got = append(got, outcome{f.Status, f.Evidence, f.Location.Resource})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// A registry that is down must not look like an answer.
func TestFetchingFailed(t *testing.T) {
	image := &seawall.ImageInfo{Verification: &seawall.Verification{Error: "connection refused"}}
	if res, err := (signature.Detector{}).Detect(t.Context(), detect.Facts{Asset: seawall.Asset{Image: image}}); !errors.Is(err, seawall.ErrUnreadable) || len(res.Findings) != 0 {
		t.Errorf("%v, %v", res, err)
	}
}
