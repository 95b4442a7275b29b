//go:build linux

package keeper

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// controlPlane are the programs that kubeadm runs in static pods.
func controlPlane() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

func kubeadmImages() []string {
	var refs []string
	for _, program := range append(controlPlane(), "kube-proxy") {
		refs = append(refs, imageOf(program))
	}
	return refs
}

// imageOf is the name of a program's image. What is in it is a shell: the program is
// mounted from the node, since importing it takes longer than starting a cluster.
func imageOf(program string) string { return "registry.k8s.io/" + program + ":v1.36.3" }

// startKubeadm lets kubelet start the control plane.
func (c *cluster) startKubeadm(ctx context.Context) error {
	if err := c.startContainerd(); err != nil {
		return err
	}
	if err := c.wait(ctx, "containerd", c.importImages); err != nil {
		return err
	}
	if err := c.run("kubelet"); err != nil {
		return err
	}
	for _, ready := range []func(context.Context) error{c.apiReady, c.nodeReady, c.applyKubeadm, c.mirrored} {
		if err := c.wait(ctx, "kubelet", ready); err != nil {
			return err
		}
	}
	return nil
}

// staticPods are the manifests of the control plane.
func (c *cluster) staticPods() map[string]string {
	files := map[string]string{}
	for _, program := range controlPlane() {
		volumes, mounts := hostPaths([][2]string{
			{bin + program, "File"}, {"/etc/kubernetes", "Directory"}, {"/var/lib/etcd", "DirectoryOrCreate"}, {auditDir, "DirectoryOrCreate"},
		})
		files["manifests/"+program+".yaml"] = asJSON(map[string]any{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{
				"name": program, "namespace": "kube-system",
				"labels": map[string]any{"component": program, "tier": "control-plane"},
			},
			"spec": map[string]any{
				"hostNetwork": true, "priorityClassName": "system-node-critical",
				"securityContext": map[string]any{"seccompProfile": map[string]any{"type": "RuntimeDefault"}},
				"containers": []any{map[string]any{
					"name": program, "image": imageOf(program), "imagePullPolicy": "IfNotPresent",
					"command":      append([]string{program}, c.flags(program)...),
					"env":          []any{map[string]any{"name": "PATH", "value": "/usr/local/bin"}},
					"resources":    map[string]any{"requests": map[string]any{"cpu": "50m"}},
					"volumeMounts": mounts,
				}},
				"volumes": volumes,
			},
		})
	}
	return files
}

// hostPaths mounts paths of the node where they are.
func hostPaths(paths [][2]string) (volumes, mounts []any) {
	for _, p := range paths {
		name := strings.ReplaceAll(strings.Trim(p[0], "/"), "/", "-")
		volumes = append(volumes, map[string]any{"name": name, "hostPath": map[string]any{"path": p[0], "type": p[1]}})
		mounts = append(mounts, map[string]any{"name": name, "mountPath": p[0]})
	}
	return volumes, mounts
}

// applyKubeadm makes the objects that kubeadm adds.
func (c *cluster) applyKubeadm(ctx context.Context) error {
	const system = "/api/v1/namespaces/kube-system"
	for path, object := range map[string]map[string]any{
		"/api/v1/nodes/" + c.slot.name(): {
			"apiVersion": "v1", "kind": "Node",
			"metadata": map[string]any{"labels": map[string]any{"node-role.kubernetes.io/control-plane": ""}},
		},
		system + "/configmaps/kubeadm-config": configMap("kubeadm-config", map[string]any{"ClusterConfiguration": asJSON(map[string]any{
			"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "kubernetesVersion": "v1.36.3",
			"networking": map[string]any{"podSubnet": c.slot.pods(), "serviceSubnet": c.slot.services()},
		})}),
		system + "/configmaps/kubelet-config": configMap("kubelet-config", map[string]any{"kubelet": asJSON(c.kubeletConfig())}),
		system + "/configmaps/kube-proxy": configMap("kube-proxy", map[string]any{
			"config.conf": asJSON(c.proxyConfig("/var/lib/kube-proxy/kubeconfig.conf")),
			"kubeconfig.conf": asJSON(map[string]any{
				"apiVersion": "v1", "kind": "Config", "current-context": "default",
				"clusters": []any{map[string]any{"name": "default", "cluster": map[string]any{
					"server": c.url(), "certificate-authority": "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
				}}},
				"users":    []any{map[string]any{"name": "default", "user": map[string]any{"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}}},
				"contexts": []any{map[string]any{"name": "default", "context": map[string]any{"cluster": "default", "user": "default"}}},
			}),
		}),
		system + "/serviceaccounts/kube-proxy": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "kube-proxy"}},
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:cluster-admins": {
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "kubeadm:cluster-admins"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "kubeadm:cluster-admins"}},
		},
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:node-proxier": {
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "kubeadm:node-proxier"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "kube-proxy", "namespace": "kube-system"}},
		},
		"/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy": c.proxyDaemonSet(),
	} {
		if _, err := c.send(ctx, http.MethodPatch, path+"?fieldManager=kubeadm&force=true", asJSON(object)); err != nil {
			return err
		}
	}
	return nil
}

// crashedPod is the log of a static pod's container that kubelet starts for the third time.
func (c *cluster) crashedPod() string {
	for _, program := range controlPlane() {
		dirs, _ := filepath.Glob(filepath.Join(c.slot.dir, "pods", "kube-system_"+program+"-*", program))
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "2.log")); err == nil {
				return filepath.Join(dir, "1.log")
			}
		}
	}
	return ""
}

// mirrored waits until the API server shows the static pods.
func (c *cluster) mirrored(ctx context.Context) error {
	for _, program := range controlPlane() {
		if _, err := c.get(ctx, "/api/v1/namespaces/kube-system/pods/"+program+"-"+c.slot.name()); err != nil {
			return err
		}
	}
	return nil
}

func configMap(name string, data map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": data}
}

// proxyDaemonSet runs kube-proxy with the node's nft and what that needs.
func (c *cluster) proxyDaemonSet() map[string]any {
	volumes, mounts := hostPaths([][2]string{{"/usr", "Directory"}, {"/lib", "Directory"}, {"/lib64", "Directory"}})
	volumes = append(volumes, map[string]any{"name": "kube-proxy", "configMap": map[string]any{"name": "kube-proxy"}})
	mounts = append(mounts, map[string]any{"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"})
	labels := map[string]any{"k8s-app": "kube-proxy"}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": "kube-proxy", "labels": labels},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{
					"hostNetwork": true, "priorityClassName": "system-node-critical", "serviceAccountName": "kube-proxy",
					"tolerations": []any{map[string]any{"operator": "Exists"}},
					"containers": []any{map[string]any{
						"name": "kube-proxy", "image": imageOf("kube-proxy"), "imagePullPolicy": "IfNotPresent",
						"command":         []string{bin + "kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=" + c.slot.name()},
						"env":             []any{map[string]any{"name": "PATH", "value": "/usr/sbin:/usr/bin"}},
						"securityContext": map[string]any{"privileged": true},
						"volumeMounts":    mounts,
					}},
					"volumes": volumes,
				},
			},
		},
	}
}
