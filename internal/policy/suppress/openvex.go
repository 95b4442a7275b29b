package suppress

import (
	"encoding/json"
	"fmt"
)

// The fields of OpenVEX 0.2.0 that matching needs
// (https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md). In 0.0.x
// vulnerability and products were plain strings and subcomponents stood beside them.
type openVEX struct {
	Timestamp   string             `json:"timestamp"`
	LastUpdated string             `json:"last_updated"`
	Statements  []openVEXStatement `json:"statements"`
}

type openVEXStatement struct {
	Vulnerability   openVEXVulnerability `json:"vulnerability"`
	Timestamp       string               `json:"timestamp"`
	LastUpdated     string               `json:"last_updated"`
	Products        []openVEXProduct     `json:"products"`
	Subcomponents   []openVEXProduct     `json:"subcomponents"`
	Status          vexStatus            `json:"status"`
	StatusNotes     string               `json:"status_notes"`
	Justification   string               `json:"justification"`
	ImpactStatement string               `json:"impact_statement"`
	ActionStatement string               `json:"action_statement"`
}

type openVEXVulnerability struct {
	ID      string   `json:"@id"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func (v *openVEXVulnerability) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &v.Name)
	}
	type plain openVEXVulnerability
	return json.Unmarshal(data, (*plain)(v))
}

type openVEXProduct struct {
	ID            string            `json:"@id"`
	Identifiers   map[string]string `json:"identifiers"`
	Hashes        map[string]string `json:"hashes"`
	Subcomponents []openVEXProduct  `json:"subcomponents"`
}

func (p *openVEXProduct) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &p.ID)
	}
	type plain openVEXProduct
	return json.Unmarshal(data, (*plain)(p))
}

func (d *document) readOpenVEX(data []byte) error {
	var doc openVEX
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	for i, s := range doc.Statements {
		st := &statement{status: s.Status, time: parseTime(s.LastUpdated, s.Timestamp, doc.LastUpdated, doc.Timestamp)}
		switch s.Status {
		case notAffected:
			st.detail = sentence(s.Justification, s.ImpactStatement)
		case affected:
			st.detail = s.ActionStatement
		case fixed, underInvestigation:
			st.detail = s.StatusNotes
		default:
			return fmt.Errorf("statement %d: unknown status %q", i+1, s.Status)
		}
		for _, p := range s.Products {
			st.products = append(st.products, d.openVEXProduct(p, s.Subcomponents))
		}
		d.add(append([]string{s.Vulnerability.Name, s.Vulnerability.ID}, s.Vulnerability.Aliases...), st)
	}
	return nil
}

// openVEXProduct converts; shared are subcomponents stated once for all products.
func (d *document) openVEXProduct(p openVEXProduct, shared []openVEXProduct) product {
	var out product
	d.identify(&out, p.ID)
	d.identify(&out, p.Identifiers["purl"])
	if h := p.Hashes["sha-256"]; h != "" {
		out.names = append(out.names, "sha256:"+h)
	}
	for _, list := range [][]openVEXProduct{shared, p.Subcomponents} {
		for _, s := range list {
			out.subcomponents = append(out.subcomponents, d.openVEXProduct(s, nil))
		}
	}
	return out
}
