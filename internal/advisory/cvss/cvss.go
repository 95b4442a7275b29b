// Package cvss scores CVSS vectors of every version for sources that publish
// the vector alone. It wraps github.com/pandatix/go-cvss.
package cvss

import (
	"fmt"
	"strings"

	cvss20 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Score returns the base score of a vector (for version 4.0 the score of what
// the vector states) and the CVSS version it is written in. The error wraps
// seawall.ErrCorrupt.
func Score(vector string) (version string, score float64, err error) {
	switch {
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, parseErr := cvss31.ParseVector(vector)
		if err = parseErr; err == nil {
			version, score = "3.1", v.BaseScore()
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, parseErr := cvss30.ParseVector(vector)
		if err = parseErr; err == nil {
			version, score = "3.0", v.BaseScore()
		}
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, parseErr := cvss40.ParseVector(vector)
		if err = parseErr; err == nil {
			version, score = "4.0", v.Score()
		}
	default:
		v, parseErr := cvss20.ParseVector(strings.Trim(vector, "()"))
		if err = parseErr; err == nil {
			version, score = "2.0", v.BaseScore()
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("CVSS vector %.80q: %w: %w", vector, seawall.ErrCorrupt, err)
	}
	return version, score, nil
}
