package csaf

import (
	"net/url"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory/document"
)

// csafDocument is a CSAF 2.0 document as far as it is read
// (https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html).
type csafDocument struct {
	Document struct {
		Aggregate struct {
			Text document.Word `json:"text"`
		} `json:"aggregate_severity"`
		Category string `json:"category"`
		Title    string `json:"title"`
		Tracking struct {
			ID      string        `json:"id"`
			Initial document.Word `json:"initial_release_date"`
			Current document.Word `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree struct {
		Branches      []branch       `json:"branches"`
		Relationships []relationship `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type branch struct {
	Branches []branch `json:"branches"`
	Product  struct {
		ID     string `json:"product_id"`
		Helper struct {
			CPE  string `json:"cpe"`
			PURL string `json:"purl"`
		} `json:"product_identification_helper"`
	} `json:"product"`
}

type relationship struct {
	Full struct {
		ID string `json:"product_id"`
	} `json:"full_product_name"`
	Component string `json:"product_reference"`
	Platform  string `json:"relates_to_product_reference"`
}

type vulnerability struct {
	CVE string `json:"cve"`
	CWE struct {
		ID string `json:"id"`
	} `json:"cwe"`
	Released document.Word `json:"release_date"`
	Status   struct {
		Fixed              []string `json:"fixed"`
		FirstFixed         []string `json:"first_fixed"`
		KnownAffected      []string `json:"known_affected"`
		KnownNotAffected   []string `json:"known_not_affected"`
		UnderInvestigation []string `json:"under_investigation"`
	} `json:"product_status"`
	Remediations []struct {
		Category string        `json:"category"`
		Details  document.Word `json:"details"`
		Date     document.Word `json:"date"`
		Products []string      `json:"product_ids"`
	} `json:"remediations"`
	Threats []struct {
		Category string        `json:"category"`
		Details  document.Word `json:"details"`
		Products []string      `json:"product_ids"`
	} `json:"threats"`
	Scores []struct {
		V2 struct {
			Vector document.Word `json:"vectorString"`
		} `json:"cvss_v2"`
		V3 struct {
			Vector document.Word `json:"vectorString"`
		} `json:"cvss_v3"`
	} `json:"scores"`
	References []struct {
		URL document.Word `json:"url"`
	} `json:"references"`
}

// product is what a product id stands for: a package on a release.
type product struct {
	ecosystem, name, version, module string
	source                           bool
}

// tree resolves product ids.
type tree struct {
	cpes, purls   map[string]string
	relationships map[string]relationship
}

// maxDepth bounds how deep branches and relationships may nest; real ones stay under 8.
const maxDepth = 32

func newTree(d *csafDocument) *tree {
	t := &tree{cpes: map[string]string{}, purls: map[string]string{}, relationships: map[string]relationship{}}
	t.add(d.Tree.Branches, 0)
	for _, r := range d.Tree.Relationships {
		t.relationships[r.Full.ID] = r
	}
	return t
}

func (t *tree) add(branches []branch, depth int) {
	if depth == maxDepth {
		return
	}
	for i := range branches {
		p := &branches[i].Product
		if p.Helper.CPE != "" {
			t.cpes[p.ID] = p.Helper.CPE
		}
		if p.Helper.PURL != "" {
			t.purls[p.ID] = p.Helper.PURL
		}
		t.add(branches[i].Branches, depth+1)
	}
}

// resolve follows a product id to its package and its platform; a module lies
// between the two as a relationship of its own. It is false for what is no rpm
// of Red Hat Enterprise Linux itself.
func (t *tree) resolve(id string) (product, bool) {
	var p product
	for range maxDepth {
		if cpe, ok := t.cpes[id]; ok {
			p.ecosystem = ecosystem(cpe)
			return p, p.ecosystem != "" && p.name != ""
		}
		r, ok := t.relationships[id]
		if !ok {
			return p, false
		}
		p.addComponent(t.purls[r.Component])
		id = r.Platform
	}
	return p, false
}

// addComponent reads pkg:rpm/redhat/NAME@VERSION?arch=…&epoch=…&rpmmod=…, the
// module pkg:rpmmod/redhat/NAME@STREAM:…, or a package in one that has no fix,
// pkg:rpmmod/redhat/MODULE:STREAM/NAME.
func (p *product) addComponent(purl string) {
	rest, query, _ := strings.Cut(purl, "?")
	qualifiers, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(rest, "pkg:"), "/redhat/")
	name, version, _ := strings.Cut(name, "@")
	if unescaped, err := url.PathUnescape(version); err == nil {
		version = unescaped
	}
	switch kind {
	case "rpmmod":
		if module, pkg, ok := strings.Cut(name, "/"); ok {
			p.name, p.module = pkg, stream(module)
			return
		}
		p.module = stream(name + ":" + version)
	case "rpm":
		if unescaped, err := url.PathUnescape(name); err == nil {
			name = unescaped
		}
		p.name, p.version, p.source = name, version, qualifiers.Get("arch") == "src"
		if epoch := qualifiers.Get("epoch"); epoch != "" && epoch != "0" && version != "" {
			p.version = epoch + ":" + version
		}
		if mod := qualifiers.Get("rpmmod"); mod != "" {
			p.module = stream(mod)
		}
	}
}

// stream keeps name and stream of "nodejs:18:8090020231019152822:a75119d5".
func stream(module string) string {
	parts := strings.SplitN(module, ":", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return ""
	}
	return parts[0] + ":" + parts[1]
}

// ecosystem is the release a CPE of the main product names, "" for any other product.
func ecosystem(cpe string) string {
	for _, prefix := range [...]string{"cpe:/o:redhat:enterprise_linux:", "cpe:/a:redhat:enterprise_linux:"} {
		if rest, ok := strings.CutPrefix(cpe, prefix); ok {
			major, _, _ := strings.Cut(rest, ":")
			major, _, _ = strings.Cut(major, ".")
			if major == "" || strings.Trim(major, "0123456789") != "" {
				return ""
			}
			return "Red Hat:" + major
		}
	}
	return ""
}
