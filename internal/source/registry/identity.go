package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
)

// granted asks for a token that may do everything with the sample repository
// and reads which of it was granted.
func (a *audit) granted(ctx context.Context, auth authn.Authenticator, challenge *transport.Challenge) (push, remove string) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	token, err := transport.Exchange(ctx, a.reg, auth, a.polite, []string{a.scope("pull,push,delete")}, challenge)
	if err != nil {
		return denied(err), denied(err)
	}
	text := token.Token
	if text == "" {
		text = token.AccessToken
	}
	actions, err := grantedActions(text, a.sample())
	if err != nil {
		return unknown(err), unknown(err)
	}
	all := slices.Contains(actions, "*")
	return yes(all || slices.Contains(actions, "push")), yes(all || slices.Contains(actions, "delete"))
}

// errOpaque: a token that only its maker can read.
var errOpaque = errors.New("the registry's tokens do not tell what they grant; --write-probe tries")

// grantedActions reads from a token of the distribution's token specification
// (a JSON Web Token with an "access" claim) what it allows with a repository.
func grantedActions(token, repository string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errOpaque
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, errOpaque
	}
	var claims struct {
		Access *[]struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Access == nil {
		return nil, errOpaque
	}
	var actions []string
	for _, grant := range *claims.Access {
		if grant.Type == "repository" && grant.Name == repository {
			actions = append(actions, grant.Actions...)
		}
	}
	return actions, nil
}

// software finds out what program the registry is, by its headers and by the
// interfaces in which some say their version.
func (a *audit) software(ctx context.Context) {
	name, version := fromHeaders(a.banner)
	if version == "" {
		for _, ask := range []struct{ name, path, field string }{
			{"harbor", "api/v2.0/systeminfo", "harbor_version"},
			{"zot", "v2/_zot/ext/mgmt", "releaseTag"},
			{"gitea", "api/v1/version", "version"},
		} {
			if v := a.versionAt(ctx, ask.path, ask.field); v != "" {
				name, version = ask.name, v
				break
			}
		}
	}
	a.data["software"], a.data["software.version"] = name, version
	if version == "" || name == "" {
		return
	}
	a.facts = append(a.facts, seawall.Fact{Package: &seawall.Package{
		Name: name, Version: version, Ecosystem: "generic", PURL: "pkg:generic/" + name + "@" + version, Kind: "registry",
		Locations: []seawall.Location{{Resource: a.host}},
	}})
}

// fromHeaders knows the programs that name themselves.
func fromHeaders(h http.Header) (name, version string) {
	if v := h.Get("Gitlab-Container-Registry-Version"); v != "" {
		return "gitlab-container-registry", plainVersion(v)
	}
	if v, ok := strings.CutPrefix(h.Get("X-Jfrog-Version"), "Artifactory/"); ok {
		return "artifactory", plainVersion(v)
	}
	if v, ok := strings.CutPrefix(h.Get("Server"), "Nexus/"); ok {
		return "nexus", plainVersion(v)
	}
	if h.Get("Docker-Distribution-Api-Version") != "" {
		return "distribution", ""
	}
	return "", ""
}

// plainVersion takes off the leading v, the build and the edition: "v2.5.0-e58c1a2d" is 2.5.0.
func plainVersion(v string) string {
	v = strings.TrimPrefix(strings.TrimSpace(v), "v")
	end := strings.IndexFunc(v, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		v = v[:end]
	}
	return strings.Trim(v, ".")
}

// versionAt reads one field of a small JSON document of the registry's own interface.
func (a *audit) versionAt(ctx context.Context, path, field string) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c := &client{http: &http.Client{Transport: a.polite}}
	raw, _, err := c.fetch(ctx, http.MethodGet, a.origin()+path, "application/json", 1<<20)
	if err != nil {
		return ""
	}
	var document map[string]any
	if json.Unmarshal(raw, &document) != nil {
		return ""
	}
	v, _ := document[field].(string)
	return plainVersion(v)
}
