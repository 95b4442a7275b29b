package spdx

import (
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

// TestOwnersAreRelated: a rescan of the document must know that the distribution
// brought a language package, or it would judge it by the wrong advisories.
func TestOwnersAreRelated(t *testing.T) {
	doc := build(&seawall.Report{Packages: []seawall.Package{
		{Asset: "a", Kind: "language", Ecosystem: "PyPI", Name: "requests", Version: "2.28.1", Owner: "python3-requests"},
		{Asset: "b", Kind: "os", Ecosystem: "Debian:12", Name: "python3-requests", Version: "2.28.1+dfsg-1"},
		{Asset: "a", Kind: "os", Ecosystem: "Debian:12", Name: "python3-requests", Version: "2.28.1+dfsg-1"},
		{Asset: "a", Kind: "language", Ecosystem: "PyPI", Name: "flask", Version: "2", Owner: "not-listed"},
	}})
	owned := 0
	for _, r := range doc.Relationships {
		if r.Relationship != "OTHER" {
			continue
		}
		owned++
		if r.RefA.ElementRefID != "Package-2" || r.RefB.ElementRefID != "Package-0" || r.RelationshipComment == "" {
			t.Errorf("%v owns %v (%s)", r.RefA.ElementRefID, r.RefB.ElementRefID, r.RelationshipComment)
		}
	}
	if owned != 1 {
		t.Errorf("%d ownerships, want the one within the asset", owned)
	}
}
