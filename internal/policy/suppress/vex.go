package suppress

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// vexStatus is a VEX status in the words of "Minimum Requirements for VEX" (CISA, 2023).
type vexStatus string

const (
	notAffected        vexStatus = "not_affected"
	affected           vexStatus = "affected"
	fixed              vexStatus = "fixed"
	underInvestigation vexStatus = "under_investigation"
)

// document is one VEX file, its statements by upper-case vulnerability name.
type document struct {
	name string
	byID map[string][]*statement
	used atomic.Bool
	// unusable are identifiers that cannot be read; they match nothing.
	unusable []string
}

// statement says one status of one vulnerability for some products.
type statement struct {
	file     string
	status   vexStatus
	products []product
	// detail is the justification or the action advised, as the author words it.
	detail string
	time   time.Time
}

func (d *document) add(ids []string, st *statement) {
	st.file = d.name
	upper := make([]string, len(ids))
	for i, id := range ids {
		upper[i] = strings.ToUpper(id)
	}
	slices.Sort(upper)
	for _, id := range slices.Compact(upper) {
		d.byID[id] = append(d.byID[id], st)
	}
}

// identify adds an identifier as VEX documents write them to a product: a package
// URL, a digest or an image reference. Other URLs and CPEs identify nothing we
// could look for.
func (d *document) identify(p *product, id string) {
	switch {
	case id == "":
	case strings.HasPrefix(id, "pkg:"):
		u, err := parsePURL(id)
		if err != nil {
			d.unusable = append(d.unusable, fmt.Sprintf("%q: %v", id, err))
			return
		}
		p.purls = append(p.purls, u)
	case strings.Contains(id, "://"), strings.HasPrefix(id, "cpe:"):
	default:
		p.names = append(p.names, id)
	}
}

func (st *statement) matches(a *seawall.Asset, f *seawall.Finding) bool {
	return f.Vulnerability != nil &&
		slices.ContainsFunc(st.products, func(p product) bool { return p.matches(a, f) })
}

// apply suppresses what the statement clears; other statuses are only noted.
func (st *statement) apply(f *seawall.Finding) {
	if st.status == notAffected || st.status == fixed {
		f.Status = seawall.StatusSuppressed
	}
	f.Reason = strings.ReplaceAll(string(st.status), "_", " ")
	if st.detail != "" {
		f.Reason += ": " + st.detail
	}
	f.Reason += " (VEX " + st.file + ")"
}

// parseVEX reads one JSON document, recognized by the marks its standard requires.
func parseVEX(name string, data []byte) (*document, error) {
	var kind struct {
		Context   string `json:"@context"`
		BOMFormat string `json:"bomFormat"`
		Document  struct {
			CSAFVersion string `json:"csaf_version"`
		} `json:"document"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, located(data, err)
	}
	d := &document{name: name, byID: make(map[string][]*statement)}
	var err error
	switch {
	case strings.Contains(kind.Context, "openvex"):
		err = d.readOpenVEX(data)
	case kind.Document.CSAFVersion != "":
		err = d.readCSAF(data)
	case kind.BOMFormat == "CycloneDX":
		err = d.readCycloneDX(data)
	default:
		err = errors.New("not a VEX document: no OpenVEX @context, CSAF csaf_version or CycloneDX bomFormat")
	}
	if err != nil {
		return nil, located(data, err)
	}
	return d, nil
}

// located gives a JSON error its line.
func located(data []byte, err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var offset int64
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &wrongType):
		offset = wrongType.Offset
	default:
		return err
	}
	line := 1 + strings.Count(string(data[:min(offset, int64(len(data)))]), "\n")
	return fmt.Errorf("line %d: %w", line, err)
}

// parseTime reads RFC 3339; what cannot be read is the zero time, older than all others.
func parseTime(candidates ...string) time.Time {
	for _, s := range candidates {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// sentence joins the parts that are there: "component_not_present: built without zlib".
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
