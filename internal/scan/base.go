package scan

import "github.com/seawall-security/seawall/internal/seawall"

// Bases tells which image another was built on; scan/baseimage has one. It is called
// concurrently.
type Bases interface {
	// Find returns nil when none is known.
	Find(asset *seawall.Asset) *seawall.BaseImage
	// Remember is told every image, after Find.
	Remember(asset *seawall.Asset)
}

// markBase notes an image's base and marks the layers that come from it.
func (s *scanner) markBase(asset *seawall.Asset, layers map[string]seawall.LayerInfo) {
	if s.Bases == nil || asset.Image == nil {
		return
	}
	base := s.Bases.Find(asset)
	s.Bases.Remember(asset)
	if base == nil {
		return
	}
	info := *asset.Image // the target's own stays as it is
	info.Base, info.Layers = base, append([]seawall.LayerInfo(nil), asset.Image.Layers...)
	for i := range min(base.Layers, len(info.Layers)) {
		info.Layers[i].Base = true
	}
	asset.Image = &info
	for digest, l := range layers {
		l.Base = l.Index < base.Layers
		layers[digest] = l
	}
}

// countBase counts the failing findings that come from the base image.
func countBase(asset *seawall.Asset, findings []seawall.Finding) {
	if asset.Image == nil || asset.Image.Base == nil || asset.Image.Base.Layers == 0 {
		return
	}
	var sum seawall.Summary
	for i := range findings {
		if f := &findings[i]; f.Status == seawall.StatusFail && f.Layer != nil && f.Layer.Base {
			sum.Add(f)
		}
	}
	asset.Image.Base.Findings = &sum
}
