package sink

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// DocumentID is the URN of a document made from a report in a format that wants
// one (RFC 9562 version 8, from a hash): the same run gives the same identifier,
// so a converted report is recognizably the same document.
func DocumentID(format string, r *seawall.Report) string {
	id := ""
	if r.Asset != nil {
		id = r.Asset.ID
	}
	h := sha256.Sum256([]byte(format + "\x00" + r.Run.ID + "\x00" + r.Run.Started + "\x00" + id))
	h[6] = h[6]&0x0f | 0x80
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// AssetPURL is the package URL of an image (type oci, by manifest digest); ""
// for everything that has none.
func AssetPURL(a *seawall.Asset) string {
	if a.Kind != seawall.AssetImage || a.Digest == "" {
		return ""
	}
	repository, _, _ := strings.Cut(a.Name, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	name := strings.ToLower(repository[strings.LastIndexByte(repository, '/')+1:])
	if name == "" {
		return ""
	}
	purl := "pkg:oci/" + url.PathEscape(name) + "@" + strings.ReplaceAll(a.Digest, ":", "%3A")
	if a.Image != nil {
		if parts := strings.Split(a.Image.Platform, "/"); len(parts) > 1 {
			purl += "?arch=" + url.QueryEscape(parts[1]) + "&repository_url=" + url.QueryEscape(repository)
			return purl
		}
	}
	return purl + "?repository_url=" + url.QueryEscape(repository)
}

// Assets are all assets of a report, the first one first.
func Assets(r *seawall.Report) []*seawall.Asset {
	all := make([]*seawall.Asset, 0, 1+len(r.Assets))
	if r.Asset != nil {
		all = append(all, r.Asset)
	}
	for i := range r.Assets {
		all = append(all, &r.Assets[i])
	}
	return all
}

// Places are all locations of a finding, the one to show first.
func Places(f *seawall.Finding) []seawall.Location {
	if len(f.Locations) == 0 && f.Location != nil {
		return []seawall.Location{*f.Location}
	}
	return f.Locations
}
