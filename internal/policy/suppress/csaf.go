package suppress

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// The fields of CSAF 2.0 that matching needs
// (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html).
type csaf struct {
	Document struct {
		Tracking struct {
			CurrentReleaseDate string `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	ProductTree struct {
		Branches         []csafBranch  `json:"branches"`
		FullProductNames []csafProduct `json:"full_product_names"`
		Relationships    []struct {
			FullProductName csafProduct `json:"full_product_name"`
			Component       string      `json:"product_reference"`
			RelatesTo       string      `json:"relates_to_product_reference"`
		} `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL   string `json:"purl"`
		Hashes []struct {
			FileHashes []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Flags []struct {
		Label      string   `json:"label"`
		ProductIDs []string `json:"product_ids"`
	} `json:"flags"`
	Threats []struct {
		Category   string   `json:"category"`
		Details    string   `json:"details"`
		ProductIDs []string `json:"product_ids"`
	} `json:"threats"`
	ProductStatus struct {
		KnownNotAffected   []string `json:"known_not_affected"`
		Fixed              []string `json:"fixed"`
		FirstFixed         []string `json:"first_fixed"`
		KnownAffected      []string `json:"known_affected"`
		FirstAffected      []string `json:"first_affected"`
		LastAffected       []string `json:"last_affected"`
		UnderInvestigation []string `json:"under_investigation"`
	} `json:"product_status"`
}

// maxBranches bounds the depth of a product tree; real ones have about six levels.
const maxBranches = 64

func (d *document) readCSAF(data []byte) error {
	var doc csaf
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	products, err := d.csafProducts(&doc)
	if err != nil {
		return err
	}
	released := parseTime(doc.Document.Tracking.CurrentReleaseDate)
	for _, v := range doc.Vulnerabilities {
		ids := []string{v.CVE}
		for _, id := range v.IDs {
			ids = append(ids, id.Text)
		}
		s := v.ProductStatus
		for _, group := range []struct {
			status   vexStatus
			products [][]string
		}{
			{notAffected, [][]string{s.KnownNotAffected}},
			{fixed, [][]string{s.Fixed, s.FirstFixed}},
			{affected, [][]string{s.KnownAffected, s.FirstAffected, s.LastAffected}},
			{underInvestigation, [][]string{s.UnderInvestigation}},
		} {
			for _, list := range group.products {
				for _, id := range list {
					p, known := products[id]
					if !known || len(p.purls)+len(p.names) == 0 {
						continue // named by CPE or prose only: nothing to match by
					}
					d.add(ids, &statement{status: group.status, time: released, detail: v.detail(id), products: []product{p}})
				}
			}
		}
	}
	return nil
}

// detail is the justification flag and impact statement given for a product.
func (v *csafVulnerability) detail(id string) string {
	var label, impact string
	for _, f := range v.Flags {
		if len(f.ProductIDs) == 0 || slices.Contains(f.ProductIDs, id) {
			label = f.Label
		}
	}
	for _, t := range v.Threats {
		if t.Category == "impact" && (len(t.ProductIDs) == 0 || slices.Contains(t.ProductIDs, id)) {
			impact = t.Details
		}
	}
	return sentence(label, impact)
}

// csafProducts resolves every product id of the tree. A component of a product that
// is itself identified becomes its subcomponent. Where the product is only named
// by CPE (a platform), the component stands alone if its purl has a version.
func (d *document) csafProducts(c *csaf) (map[string]product, error) {
	out := make(map[string]product)
	for _, p := range c.ProductTree.FullProductNames {
		out[p.ID] = d.csafProduct(&p)
	}
	if err := d.csafBranches(c.ProductTree.Branches, out, 0); err != nil {
		return nil, err
	}
	for _, r := range c.ProductTree.Relationships {
		component, whole := out[r.Component], out[r.RelatesTo]
		switch {
		case len(whole.purls)+len(whole.names) > 0:
			whole.subcomponents = []product{component}
			out[r.FullProductName.ID] = whole
		case len(component.purls) > 0 && component.purls[0].Version != "":
			out[r.FullProductName.ID] = component
		}
	}
	return out, nil
}

func (d *document) csafBranches(branches []csafBranch, out map[string]product, depth int) error {
	if depth > maxBranches {
		return errors.New("product tree is nested too deep")
	}
	for _, b := range branches {
		if b.Product != nil {
			out[b.Product.ID] = d.csafProduct(b.Product)
		}
		if err := d.csafBranches(b.Branches, out, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) csafProduct(p *csafProduct) product {
	var out product
	d.identify(&out, p.Helper.PURL)
	for _, h := range p.Helper.Hashes {
		for _, f := range h.FileHashes {
			if strings.EqualFold(f.Algorithm, "sha256") {
				out.names = append(out.names, "sha256:"+f.Value)
			}
		}
	}
	return out
}
