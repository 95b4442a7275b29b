package image

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/seawall-security/seawall/internal/seawall"
)

// config is what is read of an image configuration (OCI image specification, config.md).
type config struct {
	Platform
	Created string `json:"created"`
	Config  struct {
		User         string
		Env          []string
		Entrypoint   []string
		Cmd          []string
		Labels       map[string]string
		ExposedPorts map[string]struct{}
		Volumes      map[string]struct{}
		Healthcheck  struct{ Test []string }
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		Created    string `json:"created"`
		CreatedBy  string `json:"created_by"`
		Comment    string `json:"comment"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

func parseConfig(raw []byte) (*config, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return &c, nil
}

// imageInfo is the asset's view of the configuration; layers and names are the caller's.
func (c *config) imageInfo(raw []byte) *seawall.ImageInfo {
	info := &seawall.ImageInfo{
		ConfigDigest: Digest(raw),
		Created:      c.Created,
		User:         c.Config.User,
		Entrypoint:   c.Config.Entrypoint,
		Cmd:          c.Config.Cmd,
		Env:          c.Config.Env,
		Labels:       c.Config.Labels,
		ExposedPorts: slices.Sorted(maps.Keys(c.Config.ExposedPorts)),
		Volumes:      slices.Sorted(maps.Keys(c.Config.Volumes)),
		Healthcheck:  c.Config.Healthcheck.Test,
	}
	if c.OS != "" || c.Architecture != "" {
		info.Platform = c.Platform.String()
	}
	for _, h := range c.History {
		info.History = append(info.History, seawall.HistoryStep{Created: h.Created, CreatedBy: h.CreatedBy, Comment: h.Comment, EmptyLayer: h.EmptyLayer})
	}
	return info
}

// alignHistory returns the build step of each layer. Where the history does not
// account for every layer (squashed, or another builder's) no step is invented.
func alignHistory(history []seawall.HistoryStep, layers int) []string {
	out := make([]string, 0, layers)
	for _, h := range history {
		if !h.EmptyLayer {
			out = append(out, buildStep(h))
		}
	}
	if len(out) != layers {
		return make([]string, layers)
	}
	return out
}

// maxBuildStep bounds the text of a step: a heredoc can hold a whole program.
const maxBuildStep = 2000

// buildStep writes a step as the Dockerfile line it came from: "RUN apt-get
// install curl", "COPY . /app". Control characters, which a terminal might obey, become spaces.
func buildStep(h seawall.HistoryStep) string {
	s := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(h.CreatedBy, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if s == "" && h.Comment != "" {
		return buildStep(seawall.HistoryStep{CreatedBy: h.Comment})
	}
	s = strings.TrimSuffix(s, " # buildkit")
	run := strings.HasPrefix(s, "RUN ")
	s = strings.TrimPrefix(s, "RUN ")
	s, hadArgs := cutBuildArgs(s)
	if rest, ok := strings.CutPrefix(s, "/bin/sh -c #(nop) "); ok {
		s = strings.TrimSpace(rest)
	} else if rest, ok := strings.CutPrefix(s, "/bin/sh -c "); ok {
		s, run = rest, true
	}
	if run || hadArgs {
		s = "RUN " + s
	}
	if r := []rune(s); len(r) > maxBuildStep {
		s = string(r[:maxBuildStep]) + "…"
	}
	return s
}

// cutBuildArgs takes off the "|2 A=x B=y" that Docker's builder puts before a
// step for its build arguments. Values may hold spaces, so it looks for the shell.
func cutBuildArgs(s string) (string, bool) {
	if !strings.HasPrefix(s, "|") {
		return s, false
	}
	if i := strings.Index(s, "/bin/sh -c "); i > 0 {
		return s[i:], true
	}
	return s, false
}
