// Package openvex writes an OpenVEX 0.2.0 document with one statement per
// vulnerability and asset: affected or under investigation for what fails, not
// affected or fixed for what VEX statements read earlier cleared. What was only
// accepted by an ignore list stays affected, with the acceptance as its action.
//
// Source: https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md
package openvex

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

type document struct {
	Context    string       `json:"@context"`
	ID         string       `json:"@id"`
	Author     string       `json:"author"`
	Role       string       `json:"role"`
	Timestamp  string       `json:"timestamp"`
	Version    int          `json:"version"`
	Tooling    string       `json:"tooling"`
	Statements []*statement `json:"statements"`
}

type statement struct {
	Vulnerability   vulnerability `json:"vulnerability"`
	Products        []product     `json:"products"`
	Status          string        `json:"status"`
	ImpactStatement string        `json:"impact_statement,omitempty"`
	ActionStatement string        `json:"action_statement,omitempty"`
}

type vulnerability struct {
	ID      string   `json:"@id,omitempty"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

type product struct {
	ID            string            `json:"@id"`
	Identifiers   map[string]string `json:"identifiers,omitempty"`
	Subcomponents []subcomponent    `json:"subcomponents,omitempty"`
}

type subcomponent struct {
	ID string `json:"@id"`
}

// New returns the handler of the openvex format.
func New(w io.Writer) sink.Handler { return sink.Document(w, build) }

func build(r *seawall.Report) document {
	doc := document{
		Context: "https://openvex.dev/ns/v0.2.0", ID: sink.DocumentID("openvex", r), Author: "Seawall " + r.Tool.Version, Role: "Scanner",
		Timestamp: cmp.Or(r.Run.Ended, r.Run.Started), Version: 1, Tooling: "seawall/" + cmp.Or(r.Tool.Version, "unknown"), Statements: []*statement{},
	}
	products := make(map[string]product)
	for _, a := range sink.Assets(r) {
		products[a.ID] = productOf(a)
	}
	// Findings with the same word on the same vulnerability of the same asset share a statement.
	type key struct{ asset, rule, status, impact, action string }
	statements := make(map[key]*statement)
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Vulnerability == nil || f.Status != seawall.StatusFail && f.Status != seawall.StatusSuppressed {
			continue
		}
		status, impact, action := judge(f)
		k := key{f.Asset, f.Rule, status, impact, action}
		st := statements[k]
		if st == nil {
			st = &statement{Status: status, ImpactStatement: impact, ActionStatement: action, Products: []product{products[f.Asset]},
				Vulnerability: vulnerability{ID: sink.AdvisoryURL(f.Rule), Name: f.Rule, Aliases: f.Vulnerability.Aliases}}
			statements[k] = st
			doc.Statements = append(doc.Statements, st)
		}
		if f.Package != nil && f.Package.PURL != "" {
			sub := subcomponent{f.Package.PURL}
			if p := &st.Products[0]; !slices.Contains(p.Subcomponents, sub) {
				p.Subcomponents = append(p.Subcomponents, sub)
			}
		}
	}
	return doc
}

func productOf(a *seawall.Asset) product {
	if purl := sink.AssetPURL(a); purl != "" {
		return product{ID: purl, Identifiers: map[string]string{"purl": purl}}
	}
	return product{ID: a.ID}
}

// judge words a finding as a VEX status with what the standard requires beside
// it: an action for affected, an impact for not affected.
func judge(f *seawall.Finding) (status, impact, action string) {
	if f.Status == seawall.StatusSuppressed {
		switch {
		case strings.HasPrefix(f.Reason, "not affected"):
			return "not_affected", f.Reason, ""
		case strings.HasPrefix(f.Reason, "fixed"):
			return "fixed", "", ""
		}
		return "affected", "", "accepted: " + f.Reason
	}
	v := f.Vulnerability
	switch {
	case v.State == seawall.StateUnderInvestigation:
		return "under_investigation", "", ""
	case f.Remediation != "":
		return "affected", "", f.Remediation
	case len(v.Fixed) > 0 && f.Package != nil:
		return "affected", "", "upgrade " + f.Package.Name + " to " + v.Fixed[0]
	}
	return "affected", "", "no fixed version is published (" + cmp.Or(string(v.State), "affected") + ")"
}
