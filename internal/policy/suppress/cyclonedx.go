package suppress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The fields of CycloneDX 1.4 to 1.7 that matching needs
// (https://cyclonedx.org/docs/1.6/json/#vulnerabilities).
type cycloneDX struct {
	Metadata struct {
		Timestamp string              `json:"timestamp"`
		Component *cycloneDXComponent `json:"component"`
	} `json:"metadata"`
	Components      []cycloneDXComponent `json:"components"`
	Vulnerabilities []struct {
		ID         string `json:"id"`
		References []struct {
			ID string `json:"id"`
		} `json:"references"`
		Updated  string `json:"updated"`
		Analysis *struct {
			State         string `json:"state"`
			Justification string `json:"justification"`
			Detail        string `json:"detail"`
			FirstIssued   string `json:"firstIssued"`
			LastUpdated   string `json:"lastUpdated"`
		} `json:"analysis"`
		Affects []struct {
			Ref      string `json:"ref"`
			Versions []struct {
				Version string `json:"version"`
				Status  string `json:"status"`
			} `json:"versions"`
		} `json:"affects"`
	} `json:"vulnerabilities"`
}

type cycloneDXComponent struct {
	BOMRef     string               `json:"bom-ref"`
	PURL       string               `json:"purl"`
	Components []cycloneDXComponent `json:"components"`
}

func (d *document) readCycloneDX(data []byte) error {
	var doc cycloneDX
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	refs := make(map[string]string)
	top := doc.Components
	if doc.Metadata.Component != nil {
		top = append(top, *doc.Metadata.Component)
	}
	if err := collectRefs(top, refs, 0); err != nil {
		return err
	}
	for i, v := range doc.Vulnerabilities {
		if v.Analysis == nil || v.Analysis.State == "" {
			continue // a finding of some scanner, not a statement
		}
		a := v.Analysis
		st := &statement{detail: sentence(a.Justification, a.Detail), time: parseTime(a.LastUpdated, a.FirstIssued, v.Updated, doc.Metadata.Timestamp)}
		switch a.State {
		case "not_affected", "false_positive":
			st.status = notAffected
		case "resolved", "resolved_with_pedigree":
			st.status = fixed
		case "exploitable":
			st.status = affected
		case "in_triage":
			st.status = underInvestigation
		default:
			return fmt.Errorf("vulnerability %d: unknown analysis state %q", i+1, a.State)
		}
		for _, affects := range v.Affects {
			var p product
			d.identify(&p, resolveRef(affects.Ref, refs))
			if len(affects.Versions) == 0 {
				st.products = append(st.products, p)
			}
			for _, version := range affects.Versions {
				if version.Version != "" && len(p.purls) == 1 { // a vers range cannot be matched: left out
					exact := p.purls[0]
					exact.Version = version.Version
					st.products = append(st.products, product{purls: []purl{exact}})
				}
			}
		}
		ids := []string{v.ID}
		for _, r := range v.References {
			ids = append(ids, r.ID)
		}
		d.add(ids, st)
	}
	return nil
}

func collectRefs(components []cycloneDXComponent, refs map[string]string, depth int) error {
	if depth > maxBranches {
		return errors.New("components are nested too deep")
	}
	for _, c := range components {
		if c.BOMRef != "" && c.PURL != "" {
			refs[c.BOMRef] = c.PURL
		}
		if err := collectRefs(c.Components, refs, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// resolveRef turns a reference into an identifier: a component of this document,
// or the fragment of a BOM-Link (urn:cdx:serial/version#ref), which in a
// stand-alone VEX is commonly the component's package URL.
func resolveRef(ref string, refs map[string]string) string {
	if id, ok := refs[ref]; ok {
		return id
	}
	if rest, ok := strings.CutPrefix(ref, "urn:cdx:"); ok {
		_, fragment, _ := strings.Cut(rest, "#")
		ref = fragment
		if id, ok := refs[ref]; ok {
			return id
		}
		if plain, err := url.PathUnescape(ref); err == nil {
			ref = plain
		}
	}
	if !strings.HasPrefix(ref, "pkg:") {
		return "" // a name inside another document
	}
	return ref
}
