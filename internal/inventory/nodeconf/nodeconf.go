// Package nodeconf reads how Kubernetes and container engines are set up on a
// node: configuration files, static pods, kubeconfigs, certificates, modes and
// owners of files, and, on a running host, the command lines of the components.
//
//	files ──► Collect ──► raw facts ──┐
//	entries ► List ─────► FileFacts   ├─► Join ──► what each component runs with
//	host/process (source/live) ───────┘
//
// The facts are ConfigFacts of these kinds:
//
//	kubernetes/<component>     kube-apiserver, kube-controller-manager, kube-scheduler, etcd, kubelet,
//	                           kube-proxy: flags as "--name", values of the configuration file flattened
//	                           ("authentication.anonymous.enabled"); "configuration" names that file,
//	                           "unread" says why it could not be used; "version" where the image's tag says it.
//	                           Path is the static pod, the configuration file or proc/<pid>
//	kubernetes/config/<Kind>   a configuration document by its kind (EncryptionConfiguration, Policy,
//	                           AdmissionConfiguration, AuthenticationConfiguration, …): apiVersion, json (keys removed)
//	kubernetes/kubeconfig      users, servers and how they prove themselves; never the credential
//	kubernetes/certificate     subject, issuer, notBefore, notAfter, key ("RSA 2048"), signature, ca, names
//	kubernetes/version         distribution, version where known
//	docker/daemon              dockerd's settings by their names in daemon.json, flags included
//	containerd/config, crio/config   flattened
//
// Lists of plain values are joined with commas, as flags write them; other lists
// are flattened by index. Values of keys that hold secrets are replaced.
package nodeconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// maxFile bounds one configuration file; the largest real ones are some 100 KiB.
const maxFile = 1 << 20

// Collector reads the configuration of a node.
type Collector struct{}

var (
	_ inventory.Joiner = Collector{}
	_ inventory.Lister = Collector{}
)

// Name implements inventory.Collector.
func (Collector) Name() string { return "node/config" }

// Version implements inventory.Collector.
func (Collector) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Collector) Wants(p string, info fs.FileInfo) bool {
	if !interesting(p) || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	base := p[strings.LastIndexByte(p, '/')+1:]
	switch path.Ext(base) {
	case ".yaml", ".yml", ".json", ".conf", ".manifest", ".toml", ".crt", ".pem", ".cert", ".kubeconfig":
		return true
	}
	return base == "kubeconfig" || base == "config" || base == "bootstrap-kubeconfig"
}

// interesting tells the places of a node's configuration.
func interesting(p string) bool {
	switch {
	case strings.HasPrefix(p, "etc/"):
		p = p[len("etc/"):]
		return within(p, "kubernetes/", "rancher/", "docker/", "containerd/", "crio/", "etcd/", "cni/net.d/", "ssl/etcd/")
	case strings.HasPrefix(p, "var/lib/kubelet/pods/"): // containers' own
		return false
	case strings.HasPrefix(p, "var/lib/rancher/"):
		return strings.Contains(p, "/server/") || strings.Contains(p, "/agent/") && !strings.Contains(p, "/agent/containerd/")
	}
	return within(p, "var/lib/kubelet/", "var/lib/kube-proxy/", "home/kubernetes/")
}

func within(p string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

// List implements inventory.Lister: mode and owner of what controls ask about.
func (Collector) List(p string, info fs.FileInfo) *seawall.Fact {
	if !interesting(p) && !listed(p) {
		return nil
	}
	if f := seawall.StatFact(p, info); f != nil {
		return &seawall.Fact{File: f}
	}
	return nil
}

// listed tells further files and directories whose mode and owner matter.
func listed(p string) bool {
	switch p {
	case "etc/kubernetes", "etc/docker", "etc/containerd", "etc/cni", "etc/cni/net.d", "opt/cni/bin", "etc/default/docker",
		"etc/sysconfig/docker", "var/lib/kubelet", "var/lib/docker", "var/lib/containerd", "run/docker.sock", "run/containerd/containerd.sock":
		return true
	}
	base := p[strings.LastIndexByte(p, '/')+1:]
	switch base {
	case "kubelet.service", "docker.service", "docker.socket", "containerd.service", "10-kubeadm.conf":
		return strings.Contains(p, "systemd/system/")
	case "etcd", "etcd-data": // a data directory, wherever it is
		return true
	}
	return false
}

// Collect implements inventory.Collector.
func (Collector) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	if f.Content.Size() > maxFile {
		return nil, fmt.Errorf("%w: %d bytes, more than the %d a configuration may have", seawall.ErrBound, f.Content.Size(), maxFile)
	}
	data, err := io.ReadAll(f.Content)
	if err != nil {
		return nil, err
	}
	return parse(f.Path, data)
}

// parse reads a file by its place and content.
func parse(p string, data []byte) ([]seawall.Fact, error) {
	switch ext := path.Ext(p); {
	case ext == ".crt" || ext == ".pem" || ext == ".cert":
		return certificates(data)
	case ext == ".toml" || within(p, "etc/crio/"):
		return tomlConfig(p, data)
	case p == "etc/docker/daemon.json":
		return dockerConfig(data)
	case bytes.Contains(data, []byte("kind")) || within(p, "etc/rancher/") || strings.HasSuffix(p, "etcd/config"):
		return documents(p, data)
	}
	return nil, nil
}

// config is the fact of a configuration; the engine fills in its path.
func config(kind string, data map[string]string) seawall.Fact {
	return seawall.Fact{Config: &seawall.ConfigFact{Kind: kind, Data: data}}
}

var errShape = errors.New("not a mapping at its top")
