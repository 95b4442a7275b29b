// Package cluster gives tests a real Kubernetes: etcd, the API server, controller
// manager and scheduler of a release, and with Options.Kubelet a node that runs
// pods with containerd and runc.
//
//	c := cluster.Shared(t)                                            // the one of this test run
//	c := cluster.Start(t, cluster.Options{AuditPolicy: policy})       // one of its own, ended with the test
//	ns := c.Namespace(t)                                              // removed with the test
//	c.Apply(t, ns, manifests)
//	c.WaitPod(t, ns, "web")
//	cmd := exec.Command("seawall", "scan", "cluster"); cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
//
// Prefer Shared: it is started once for a whole `go test ./...` and ends with
// that. Start takes 5 to 10 seconds on an idle machine, and waits while other tests
// have as many as the memory holds.
//
// The cluster is in network, mount and PID namespaces of its own. The test
// reaches it, its pods and its services at their addresses. From inside, the test
// is HostAddress: what it serves to the cluster, such as a webhook, listens there,
// not on loopback. NodeCommand runs a program on the node, where /etc/kubernetes,
// /var/lib/kubelet and the processes are those of a normal node.
//
// There is no registry: ImportImage, or Busybox for a ready-made image. There is
// no DNS either. The pod network enforces no NetworkPolicy.
//
// Nothing is left behind, whatever becomes of the test: see package keeper.
// It takes root on Linux; tests are skipped elsewhere (testenv.Root).
package cluster

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/image"
	"github.com/seawall-security/seawall/test/cluster/keeper"
	"github.com/seawall-security/seawall/test/cluster/kubebinary"
	"github.com/seawall-security/seawall/test/cluster/pki"
)

// Options say how a cluster differs from the usual one.
type Options = keeper.Options

// Unset as the value of a flag in Options takes the flag away.
const Unset = keeper.Unset

// Cluster is a running cluster.
type Cluster struct {
	keeper.State
	*Client
}

// KubeBinary is the path of the binary of test/cluster/kube, for its
// programs that need no cluster: authz, kubectl.
func KubeBinary(t testing.TB) string {
	t.Helper()
	path, err := kubebinary.Build(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts a cluster for this test alone.
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	program, spec := prepare(t, options)
	spec.Hold = []int{os.Getpid()}
	state, err := keeper.Spawn(t.Context(), program, spec)
	c := connect(t, state, err)
	t.Cleanup(func() { c.Close(t) })
	return c
}

// Shared returns the cluster that all packages of a `go test` run have in
// common. It has a kubelet and an audit log of everything's metadata. A test
// keeps to its own Namespace, and removes what it makes outside of it.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	options := Options{Kubelet: true, AuditPolicy: metadataAudit}
	program, spec := prepare(t, options)
	spec.Hold = []int{run()}
	spec.Key = fmt.Sprintf("shared %s %s", spec.Kube, checksum(t, program))
	state, err := keeper.Share(t.Context(), program, spec)
	return connect(t, state, err)
}

const metadataAudit = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// run is the process of the whole test run: the go command, where that started us.
func run() int {
	parent := os.Getppid()
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/comm")
	if err == nil && strings.TrimSpace(string(comm)) == "go" {
		return parent
	}
	return os.Getpid()
}

func prepare(t testing.TB, options Options) (program string, spec keeper.Spec) {
	t.Helper()
	testenv.Linux(t)
	testenv.Root(t)
	tools := []string{"ip"}
	if options.Kubelet || options.Kubeadm {
		tools = append(tools, "containerd", "runc", "nft", "busybox")
	}
	for _, tool := range tools {
		testenv.Tool(t, tool)
	}
	program, err := kubebinary.BuildKeeper(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return program, keeper.Spec{Options: options, Kube: KubeBinary(t)}
}

// Programs are the keeper and the Kubernetes binary, for tests of the harness itself.
func Programs(t testing.TB) (program, kube string) {
	t.Helper()
	program, spec := prepare(t, Options{})
	return program, spec.Kube
}

// checksum tells keepers of different sources apart.
func checksum(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

func connect(t testing.TB, state *keeper.State, err error) *Cluster {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{State: *state}
	c.Client = c.client(t, c.issue(t, "kubernetes-admin", "system:masters"))
	return c
}

// Close ends the cluster and returns when nothing is left of it. Start does it by itself.
func (c *Cluster) Close(t testing.TB) {
	t.Helper()
	c.Client.http.CloseIdleConnections()
	if _, err := os.Stat(c.Dir); err != nil {
		return // closed before
	}
	if err := keeper.Close(context.Background(), c.Dir); err != nil {
		t.Errorf("closing the cluster: %v", err)
	}
}

// CA is the PEM certificate that signed the API server's.
func (c *Cluster) CA(t testing.TB) []byte {
	t.Helper()
	return c.read(t, "pki/ca.crt")
}

func (c *Cluster) read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, "etc-kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (c *Cluster) issue(t testing.TB, user string, groups ...string) pki.Pair {
	t.Helper()
	authority, err := pki.Load(c.read(t, "pki/ca.crt"), c.read(t, "pki/ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(pki.Leaf{CommonName: user, Organizations: groups})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// As is a client that logs in as a user with groups.
func (c *Cluster) As(t testing.TB, user string, groups ...string) *Client {
	t.Helper()
	return c.client(t, c.issue(t, user, groups...))
}

// UserKubeconfig writes a kubeconfig file that logs in as a user with groups.
func (c *Cluster) UserKubeconfig(t testing.TB, user string, groups ...string) string {
	t.Helper()
	config, err := pki.Kubeconfig(c.URL, c.CA(t), c.issue(t, user, groups...))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Namespace makes a namespace that is removed with the test and waits until pods
// can be created in it. Labels are key=value.
func (c *Cluster) Namespace(t testing.TB, labels ...string) string {
	t.Helper()
	set := map[string]any{}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		set[key] = value
	}
	namespace, err := c.Post(t.Context(), "/api/v1/namespaces", map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "test-", "labels": set},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := namespace.Name()
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), "/api/v1/namespaces/"+name); err != nil {
			t.Errorf("removing namespace %s: %v", name, err)
		}
	})
	c.Wait(t, "the service account of namespace "+name, func() error {
		_, err := c.Get(t.Context(), "/api/v1/namespaces/"+name+"/serviceaccounts/default")
		return err
	})
	return name
}

// Wait asks until there is no error any more; it fails the test after two minutes.
func (c *Cluster) Wait(t testing.TB, what string, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// WaitPod waits until the pod's containers are ready, or have all ended well.
func (c *Cluster) WaitPod(t testing.TB, namespace, name string) Object {
	t.Helper()
	var pod Object
	c.Wait(t, "pod "+name, func() (err error) {
		if pod, err = c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods/"+name); err != nil {
			return err
		}
		if pod.String("status", "phase") == "Succeeded" {
			return nil
		}
		for _, condition := range pod.List("status", "conditions") {
			if condition.String("type") == "Ready" && condition.String("status") == "True" {
				return nil
			}
		}
		return fmt.Errorf("phase %s: %v", pod.String("status", "phase"), pod.List("status", "containerStatuses"))
	})
	return pod
}

// Ready reports, as its error, what a Deployment still waits for.
func (c *Cluster) Ready(ctx context.Context, namespace, deployment string) error {
	d, err := c.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+deployment)
	if err != nil {
		return err
	}
	want, ready := d.At("spec", "replicas"), d.At("status", "readyReplicas")
	if want != ready {
		return fmt.Errorf("%v of %v replicas are ready", ready, want)
	}
	return nil
}

// ImportImage makes an image known to the node, so that pods can name it by ref
// ("seawall.test/app:1": with a tag other than latest, which kubelet would pull).
func (c *Cluster) ImportImage(t testing.TB, ref string, img v1.Image) {
	t.Helper()
	if err := image.Import(t.Context(), c.Containerd(), img, ref); err != nil {
		t.Fatal(err)
	}
}

// Busybox is the name of an image, known to the node, that has busybox as /bin/sh
// and sleeps.
func (c *Cluster) Busybox(t testing.TB) string {
	t.Helper()
	img, err := image.Busybox("/bin/busybox", "sleep", "2147483647")
	if err != nil {
		t.Fatal(err)
	}
	const ref = "seawall.test/busybox:1"
	c.ImportImage(t, ref, img)
	return ref
}

// NodeCommand is a command that runs on the node, in its namespaces and with its
// root file system.
func (c *Cluster) NodeCommand(ctx context.Context, args ...string) *exec.Cmd {
	in := []string{"--target", strconv.Itoa(c.NodePID), "--all", "--"}
	return exec.CommandContext(ctx, "nsenter", append(in, args...)...)
}

// Kubectl runs kubectl as the administrator and returns its output.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Kube, append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// Logs is what a program of the cluster has said: kube-apiserver, kubelet, containerd, …
// With Options.Kubeadm those of the control plane are pods, in kube-system.
func (c *Cluster) Logs(t testing.TB, program string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, "log", program+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
