// Package credentials chooses the credentials for a repository among those that
// came with the images, such as the pull secrets of pods.
package credentials

import (
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/seawall-security/seawall/internal/source"
)

// keys are credentials by registry, or by registry and path: of those that match
// a repository the longest counts, as for the kubelet
// (https://kubernetes.io/docs/concepts/containers/images/#config-json). It
// implements authn.Keychain.
type keys map[string]source.Credentials

// Resolve implements authn.Keychain.
func (k keys) Resolve(r authn.Resource) (authn.Authenticator, error) {
	best := ""
	for key := range k {
		if len(key) > len(best) && covers(key, r) {
			best = key
		}
	}
	if best == "" {
		return authn.Anonymous, nil
	}
	c := k[best]
	return authn.FromConfig(authn.AuthConfig{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken}), nil
}

// covers says whether a key is for a repository: its registry matches, * being
// part of a name in it, and its path is the beginning of the repository's.
func covers(key string, r authn.Resource) bool {
	host, prefix, _ := strings.Cut(key, "/")
	if host == "docker.io" {
		host = name.DefaultRegistry
	}
	if ok, err := path.Match(strings.ReplaceAll(host, ".", "/"), strings.ReplaceAll(r.RegistryStr(), ".", "/")); err != nil || !ok {
		return false
	}
	repository := strings.TrimPrefix(r.String(), r.RegistryStr()+"/")
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, prefix+"/")
}

// Keychain asks the credentials given, by registry or by registry and path, then
// docker's and podman's files.
func Keychain(given map[string]source.Credentials) authn.Keychain {
	if len(given) == 0 {
		return authn.DefaultKeychain
	}
	return authn.NewMultiKeychain(keys(given), authn.DefaultKeychain)
}
