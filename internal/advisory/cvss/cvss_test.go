package cvss

import (
	"errors"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The scores are those NVD and FIRST publish for these vectors.
func TestScore(t *testing.T) {
	for vector, want := range map[string]struct {
		version string
		score   float64
	}{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H":                        {"3.1", 10},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H":                        {"3.1", 6.5},
		"CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:C/C:H/I:N/A:N":                        {"3.0", 5.6},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N":     {"4.0", 9.3},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N":     {"4.0", 0},
		"AV:N/AC:L/Au:N/C:P/I:P/A:P":                                          {"2.0", 7.5},
		"(AV:N/AC:M/Au:N/C:N/I:P/A:N)":                                        {"2.0", 4.3},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O/RC:C":          {"3.1", 9.8},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U": {"4.0", 8.1},
	} {
		version, score, err := Score(vector)
		if err != nil || version != want.version || score != want.score {
			t.Errorf("Score(%q) = %q %v, %v; want %v", vector, version, score, err, want)
		}
	}
	for _, vector := range []string{"", "CVSS:3.1/AV:N", "CVSS:5.0/AV:N", "9.8", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:X"} {
		if _, _, err := Score(vector); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("Score(%q): %v, want ErrCorrupt", vector, err)
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H")
	f.Add("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U")
	f.Add("AV:N/AC:L/Au:N/C:P/I:P/A:P")
	f.Fuzz(func(t *testing.T, vector string) {
		version, score, err := Score(vector)
		if (err == nil) != (version != "") || score < 0 || score > 10 {
			t.Errorf("%q %v %v", version, score, err)
		}
	})
}
