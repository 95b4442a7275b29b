package nodeconf

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxDocuments bounds the documents of one file.
const maxDocuments = 100

// documents reads the YAML or JSON documents of a file, each by its kind.
func documents(p string, data []byte) ([]seawall.Fact, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var facts []seawall.Fact
	for range maxDocuments {
		var doc any
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			return facts, nil
		} else if err != nil {
			return facts, fmt.Errorf("%w: %s", seawall.ErrCorrupt, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		top, ok := plain(doc).(map[string]any)
		if doc == nil {
			continue
		}
		if !ok {
			return facts, fmt.Errorf("%w: %w", seawall.ErrCorrupt, errShape)
		}
		more, err := document(p, top)
		if err != nil {
			return facts, err
		}
		facts = append(facts, more...)
	}
	return facts, fmt.Errorf("%w: more than %d documents", seawall.ErrBound, maxDocuments)
}

// plain turns what yaml gives into what encoding/json gives: string keys only.
// Aliases share maps, so that a bomb stays small here; redact bounds the walk.
func plain(v any) any {
	m, ok := v.(map[string]any)
	if ok {
		return m
	}
	odd, ok := v.(map[any]any)
	if !ok {
		return v
	}
	m = make(map[string]any, len(odd))
	for k, one := range odd {
		m[fmt.Sprint(k)] = one
	}
	return m
}

// document reads one document.
func document(p string, doc map[string]any) ([]seawall.Fact, error) {
	kind, _ := doc["kind"].(string)
	apiVersion, _ := doc["apiVersion"].(string)
	switch {
	case kind == "Pod" && apiVersion == "v1":
		return staticPod(p, doc), nil
	case kind == "Config" && apiVersion == "v1":
		return []seawall.Fact{config("kubernetes/kubeconfig", kubeconfig(doc))}, nil
	case within(p, "etc/rancher/") && kind == "":
		return flattened("rancher/config", doc)
	case kind == "" && strings.HasSuffix(p, "etcd/config"):
		return flattened("etcd/config", doc)
	case kind == "" || !componentConfig(apiVersion):
		return nil, nil
	}
	if err := redact(doc); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return []seawall.Fact{config("kubernetes/config/"+kind, map[string]string{"apiVersion": apiVersion, "json": string(text)})}, nil
}

// componentConfig tells the API groups of configuration files from those of objects.
func componentConfig(apiVersion string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	return strings.HasSuffix(group, ".config.k8s.io") || group == "audit.k8s.io" || group == "kubeadm.k8s.io" || group == "v1" && apiVersion == "v1"
}

// kubeconfig keeps who the users are and how they prove it.
func kubeconfig(doc map[string]any) map[string]string {
	out := map[string]string{}
	if current, ok := doc["current-context"].(string); ok {
		out["context"] = current
	}
	for i, cluster := range entries(doc["clusters"], "cluster") {
		n := "cluster." + strconv.Itoa(i) + "."
		for _, key := range []string{"server", "insecure-skip-tls-verify", "certificate-authority"} {
			if v, ok := cluster[key]; ok {
				out[n+key] = scalar(v)
			}
		}
	}
	for i, user := range entries(doc["users"], "user") {
		n := "user." + strconv.Itoa(i) + "."
		for _, key := range []string{"client-certificate", "tokenFile", "username", "as"} {
			if v, ok := user[key].(string); ok {
				out[n+key] = v
			}
		}
		for _, key := range []string{"token", "password", "exec", "auth-provider", "client-certificate-data"} {
			if v, ok := user[key]; ok && v != "" {
				out[n+key] = removed
			}
		}
		if text, ok := user["client-certificate-data"].(string); ok {
			if pem, err := base64.StdEncoding.DecodeString(text); err == nil {
				if certs, err := certificates(pem); err == nil && len(certs) > 0 {
					out[n+"subject"] = certs[0].Config.Data["subject"]
					out[n+"notAfter"] = certs[0].Config.Data["notAfter"]
				}
			}
		}
	}
	return out
}

// entries returns the named part of each element of a kubeconfig's list.
func entries(list any, part string) []map[string]any {
	all, _ := list.([]any)
	var out []map[string]any
	for _, one := range all {
		m, _ := one.(map[string]any)
		if inner, ok := m[part].(map[string]any); ok {
			out = append(out, inner)
		}
	}
	return out
}

// staticPod keeps the command lines of a pod's containers that are components of Kubernetes.
func staticPod(p string, doc map[string]any) []seawall.Fact {
	if !strings.Contains(p, "manifests/") {
		return nil
	}
	spec, _ := doc["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	var facts []seawall.Fact
	for _, one := range containers {
		c, _ := one.(map[string]any)
		args := append(words(c["command"]), words(c["args"])...)
		component, flags := command(args)
		if component == "" {
			continue
		}
		for name, value := range etcdEnvironment(component, c["env"]) {
			if _, set := flags[name]; !set {
				flags[name] = value
			}
		}
		image, _ := c["image"].(string)
		if v := imageVersion(image); v != "" && component != "etcd" {
			flags["version"] = v
		}
		facts = append(facts, config(staticKind+component, flags))
	}
	return facts
}

// words are the arguments of a container; a whole shell line in one is taken apart.
func words(list any) []string {
	all, _ := list.([]any)
	var out []string
	for _, one := range all {
		s := scalar(one)
		if strings.Contains(s, " --") {
			out = append(out, strings.Fields(s)...)
			continue
		}
		out = append(out, s)
	}
	return out
}

// etcdEnvironment are etcd's settings by environment: ETCD_CERT_FILE is --cert-file.
func etcdEnvironment(component string, env any) map[string]string {
	all, _ := env.([]any)
	out := map[string]string{}
	for _, one := range all {
		e, _ := one.(map[string]any)
		name, _ := e["name"].(string)
		if rest, ok := strings.CutPrefix(name, "ETCD_"); ok && component == "etcd" {
			out["--"+strings.ReplaceAll(strings.ToLower(rest), "_", "-")] = scalar(e["value"])
		}
	}
	return out
}

// imageVersion is the version an image's tag names: "v1.36.3", "v1.36.3-rke2r1".
func imageVersion(image string) string {
	name, _, _ := strings.Cut(image, "@")
	_, tag, ok := strings.Cut(path.Base(name), ":")
	if !ok || len(tag) < 2 || tag[0] != 'v' || tag[1] < '0' || tag[1] > '9' {
		return ""
	}
	tag, _, _ = strings.Cut(tag, "-")
	return tag
}
