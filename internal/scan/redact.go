package scan

import (
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// redact takes secrets out of an asset and the layers of its findings.
func (s *scanner) redact(asset *seawall.Asset, findings []seawall.Finding) {
	if s.Redact == nil || asset.Image == nil {
		return
	}
	image := *asset.Image
	asset.Image = &image
	image.Labels = maps.Clone(image.Labels)
	for name, value := range image.Labels {
		// The name tells what the value is.
		image.Labels[name] = strings.TrimPrefix(s.Redact(name+"="+value), name+"=")
	}
	image.Entrypoint, image.Cmd = s.redactAll(image.Entrypoint), s.redactAll(image.Cmd)
	image.Layers = slices.Clone(image.Layers)
	for i := range image.Layers {
		image.Layers[i].CreatedBy = s.Redact(image.Layers[i].CreatedBy)
	}
	created := map[string]string{}
	for i := range findings {
		l := findings[i].Layer
		if l == nil {
			continue
		}
		text, known := created[l.CreatedBy]
		if !known {
			text = s.Redact(l.CreatedBy)
			created[l.CreatedBy] = text
		}
		layer := *l
		layer.CreatedBy = text
		findings[i].Layer = &layer
	}
}

func (s *scanner) redactAll(words []string) []string {
	words = slices.Clone(words)
	for i, w := range words {
		words[i] = s.Redact(w)
	}
	return words
}
