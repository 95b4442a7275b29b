package cluster

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// metadataOnly asks a list for its objects' metadata instead of the objects.
const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// secretTypes are the built-in types; a list of each tells which secret has it,
// since metadata does not.
func secretTypes() []string {
	return []string{
		"Opaque", "kubernetes.io/service-account-token", "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson",
		"kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls", "bootstrap.kubernetes.io/token",
		"helm.sh/release.v1",
	}
}

// secrets lists secrets without their data: the API server is asked for metadata
// only, once for each type, and once for all others.
func (s *snapshot) secrets(ctx context.Context) error {
	w := wanted{"", "secrets"}
	sv := served{path: "/api/v1", apiVersion: "v1", kind: "Secret", namespaced: true}
	path := sv.list(w, s.target.options.Namespace)
	var all []*seawall.Object
	var others []string
	for _, kind := range append(secretTypes(), "") {
		selector := "type=" + kind
		if kind == "" {
			selector = strings.Join(others, ",")
		}
		others = append(others, "type!="+kind)
		objects, err := s.collect(ctx, w, sv, path, url.Values{"fieldSelector": {selector}}, metadataOnly)
		if err != nil {
			return s.unread(ctx, w.String(), err)
		}
		for _, o := range objects {
			o.JSON = withType(o.JSON, kind)
		}
		all = append(all, objects...)
	}
	if s.target.options.Certificates {
		if err := s.certificates(ctx, path, all); err != nil {
			return s.unread(ctx, "secrets.certificates", err)
		}
	}
	s.lists[len(s.want)] = all
	s.readNote(w.String(), true)
	return nil
}

// withType adds the type to a secret's metadata; the unknown one of a user's own
// type stays absent.
func withType(text []byte, kind string) []byte {
	if kind == "" {
		return text
	}
	out := append(slices.Clip(text[:len(text)-1]), `,"type":`...)
	return append(appendQuoted(out, kind), '}')
}

// certificates adds data["tls.crt"] to the TLS secrets among objects. The answer
// holds their private keys, too: they are not decoded, and dropped at once.
func (s *snapshot) certificates(ctx context.Context, path string, objects []*seawall.Object) error {
	public := map[string][]byte{}
	restart := func() { clear(public) }
	query := url.Values{"fieldSelector": {"type=kubernetes.io/tls"}}
	err := s.api.list(ctx, path, query, "application/json", restart, func(raw []byte) error {
		var secret struct {
			Metadata metadata
			Data     struct {
				Certificate string `json:"tls.crt"`
			}
		}
		err := json.Unmarshal(raw, &secret)
		clear(raw)
		if err == nil {
			public[secret.Metadata.Namespace+"/"+secret.Metadata.Name] = []byte(secret.Data.Certificate)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, o := range objects {
		if certificate, ok := public[o.Namespace+"/"+o.Name]; ok {
			out := append(slices.Clip(o.JSON[:len(o.JSON)-1]), `,"data":{"tls.crt":`...)
			o.JSON = append(appendQuoted(out, string(certificate)), '}', '}')
		}
	}
	return nil
}
