package settings

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// role is a file that a control asks about: by the setting that names it, and by
// the places installers put it.
type role struct {
	name string
	// component and setting name the file, setting "" for none.
	component, setting string
	// places are patterns of path.Match; a last segment ** is everything below.
	places []string
	// kind is what the fact must be: "file" or "directory"; "" either.
	kind string
}

const (
	pki     = "etc/kubernetes/pki/**"
	k3sTLS  = "var/lib/rancher/k3s/server/tls/**"
	rke2TLS = "var/lib/rancher/rke2/server/tls/**"
)

var roles = [...]role{
	{name: "apiserver-manifest", places: manifests("kube-apiserver"), kind: "file"},
	{name: "controller-manager-manifest", places: manifests("kube-controller-manager"), kind: "file"},
	{name: "scheduler-manifest", places: manifests("kube-scheduler"), kind: "file"},
	{name: "etcd-manifest", places: manifests("etcd"), kind: "file"},
	{name: "cni", places: []string{"etc/cni/net.d/**", "var/lib/rancher/*/agent/etc/cni/net.d/*"}, kind: "file"},
	{name: "etcd-data", component: "etcd", setting: "--data-dir", places: []string{"var/lib/etcd", "var/lib/rancher/*/server/db/etcd"}, kind: "directory"},
	{name: "admin-kubeconfig", places: []string{"etc/kubernetes/admin.conf", "etc/kubernetes/super-admin.conf", "var/lib/rancher/*/server/cred/admin.kubeconfig", "etc/rancher/*/*.yaml"}, kind: "file"},
	{name: "scheduler-kubeconfig", component: "kube-scheduler", setting: "--kubeconfig", places: []string{"etc/kubernetes/scheduler.conf", "var/lib/rancher/*/server/cred/scheduler.kubeconfig"}, kind: "file"},
	{name: "controller-manager-kubeconfig", component: "kube-controller-manager", setting: "--kubeconfig", places: []string{"etc/kubernetes/controller-manager.conf", "var/lib/rancher/*/server/cred/controller.kubeconfig"}, kind: "file"},
	{name: "pki", places: []string{"etc/kubernetes/pki", pki, k3sTLS, rke2TLS}},
	{name: "pki-certificate", places: []string{pki + ".crt", k3sTLS + ".crt", rke2TLS + ".crt"}, kind: "file"},
	{name: "pki-key", places: []string{pki + ".key", k3sTLS + ".key", rke2TLS + ".key"}, kind: "file"},
	{name: "encryption-config", component: "kube-apiserver", setting: "--encryption-provider-config", kind: "file"},
	{name: "kubelet-service", places: []string{"etc/systemd/system/kubelet.service", "usr/lib/systemd/system/kubelet.service", "lib/systemd/system/kubelet.service", "etc/systemd/system/kubelet.service.d/*", "usr/lib/systemd/system/kubelet.service.d/*"}, kind: "file"},
	{name: "proxy-kubeconfig", component: "kube-proxy", setting: "--kubeconfig", places: []string{"etc/kubernetes/kube-proxy.conf", "etc/kubernetes/proxy.conf", "var/lib/kube-proxy/kubeconfig", "var/lib/rancher/*/agent/kubeproxy.kubeconfig"}, kind: "file"},
	{name: "kubelet-kubeconfig", component: "kubelet", setting: "--kubeconfig", places: []string{"etc/kubernetes/kubelet.conf", "var/lib/kubelet/kubeconfig", "var/lib/rancher/*/agent/kubelet.kubeconfig"}, kind: "file"},
	{name: "kubelet-ca", component: "kubelet", setting: "authentication.x509.clientCAFile", places: []string{"etc/kubernetes/pki/ca.crt", "var/lib/rancher/*/agent/client-ca.crt"}, kind: "file"},
	{name: "kubelet-config", component: "kubelet", setting: "configuration", places: []string{"var/lib/kubelet/config.yaml", "etc/kubernetes/kubelet/config.json", "etc/kubernetes/kubelet/kubelet-config.json"}, kind: "file"},
	{name: "azure", places: []string{"etc/kubernetes/azure.json"}, kind: "file"},
}

// controlPlane tells the files of control-plane nodes, which a provider has where it manages those.
func (r *role) controlPlane() bool {
	switch r.name {
	case "cni", "kubelet-service", "proxy-kubeconfig", "kubelet-kubeconfig", "kubelet-ca", "kubelet-config":
		return false
	}
	return true
}

func manifests(component string) []string {
	var out []string
	for _, ext := range []string{"yaml", "yml", "json", "manifest"} {
		out = append(out, "etc/kubernetes/manifests/"+component+"."+ext, "var/lib/rancher/*/agent/pod-manifests/"+component+"."+ext)
	}
	return out
}

// files returns the facts kubernetes/file/<role>. A file a setting names whose
// mode is not known has a fact without one: nobody can judge it.
func files(f detect.Facts, configs []seawall.ConfigFact) []seawall.ConfigFact {
	byPath := map[string]*seawall.FileFact{}
	for i := range f.Files {
		if one := &f.Files[i]; one.Kind == "file" || one.Kind == "directory" {
			byPath[one.Path] = one
		}
	}
	if len(byPath) == 0 {
		return nil
	}
	var out []seawall.ConfigFact
	for i := range roles {
		r := &roles[i]
		found := r.find(byPath, configs)
		slices.Sort(found)
		for _, p := range slices.Compact(found) {
			data := map[string]string{"path": "/" + p}
			if one := byPath[p]; one != nil {
				describe(data, one)
			} else {
				nobodyRead(data, p)
			}
			if r.name == "etcd-data" {
				owners(data, configs)
			}
			out = append(out, seawall.ConfigFact{Kind: "kubernetes/file/" + r.name, Path: p, Data: data})
		}
	}
	return out
}

// find returns the paths of a role: those settings name, else those at the usual places.
func (r *role) find(byPath map[string]*seawall.FileFact, configs []seawall.ConfigFact) []string {
	var found []string
	for i := range configs {
		if c := &configs[i]; r.setting != "" && c.Kind == prefix+r.component && c.Data[r.setting] != "" {
			found = append(found, strings.TrimPrefix(path.Clean(c.Data[r.setting]), "/"))
		}
	}
	if len(found) > 0 {
		return found
	}
	for p, one := range byPath {
		if (r.kind == "" || r.kind == one.Kind) && slices.ContainsFunc(r.places, func(pattern string) bool { return at(pattern, p) }) {
			found = append(found, p)
		}
	}
	return found
}

// at matches a path with a pattern; "dir/**" is everything below dir, "dir/**.crt"
// the files below it that end so.
func at(pattern, p string) bool {
	star := strings.IndexByte(pattern, '*')
	switch {
	case star < 0:
		return p == pattern
	case !strings.HasPrefix(p, pattern[:star]): // most are elsewhere
		return false
	}
	if _, suffix, below := strings.Cut(pattern, "**"); below {
		return strings.HasSuffix(p, suffix)
	}
	ok, _ := path.Match(pattern, p)
	return ok
}

// describe writes mode and owner in the words controls use.
func describe(data map[string]string, f *seawall.FileFact) {
	data["kind"] = f.Kind
	data["mode"] = fmt.Sprintf("%04o", f.Mode)
	data["uid"], data["gid"] = fmt.Sprint(f.UID), fmt.Sprint(f.GID)
	data["owner"] = data["uid"] + ":" + data["gid"]
	data["said.mode"] = data["path"] + " has mode " + data["mode"]
	data["said.owner"] = data["path"] + " belongs to " + account("user", f.UID) + " and " + account("group", f.GID)
	for _, limit := range limits {
		data[fmt.Sprintf("atMost%o", limit)] = fmt.Sprint(f.Mode&^limit&0o7777 == 0)
	}
}

// limits are the modes controls compare with.
var limits = [...]uint32{0o600, 0o640, 0o644, 0o700, 0o755, 0o770}

// nobodyRead says of a file that a setting names that nothing is known about it.
func nobodyRead(data map[string]string, p string) {
	why := "mode and owner of /" + p + " were not read"
	for _, name := range []string{"mode", "owner", "uid", "gid"} {
		data["unknown."+name] = why
	}
	for _, limit := range limits {
		data[fmt.Sprintf("unknown.atMost%o", limit)] = why
	}
}

func account(what string, id uint32) string {
	if id == 0 {
		return what + " root"
	}
	return fmt.Sprintf("%s %d", what, id)
}

// owners writes which account etcd runs as, where its process was seen: its data
// must belong to that one.
func owners(data map[string]string, configs []seawall.ConfigFact) {
	for i := range configs {
		if c := &configs[i]; c.Kind == "host/process" && c.Data["name"] == "etcd" && c.Data["uid"] != "" {
			data["runsAs"] = c.Data["uid"]
		}
	}
}
