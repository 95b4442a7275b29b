//go:build linux

package keeper

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/seawall-security/seawall/test/cluster/image"
	"github.com/seawall-security/seawall/test/cluster/node"
	"golang.org/x/sys/unix"
)

// auditDir is on the node; the slot's audit directory shows there.
const auditDir = "/var/log/kubernetes/audit"

// bin has the programs, on the node.
const bin = "/usr/local/bin/"

// startTimeout is long enough for a machine with much else to do.
const startTimeout = 4 * time.Minute

type cluster struct {
	spec   Spec
	slot   *slot
	node   *node.Machine
	client *http.Client
	failed chan node.Exit
}

// Run is the keeper's life: it starts a cluster, tells ready about it, waits until
// ctx ends, nobody holds it any more, or it is closed, and removes it.
func Run(ctx context.Context, spec Spec, ready func(State)) error {
	// What dies with us dies with the thread that started it.
	runtime.LockOSThread()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	holders := newHolders()
	for _, pid := range spec.Hold {
		if err := holders.add(pid); err != nil {
			return err
		}
	}
	go func() {
		select {
		case <-holders.none:
			stop()
		case <-ctx.Done():
		}
	}()
	if spec.Key == "" {
		names, err := turns()
		if err != nil {
			return err
		}
		turn, err := lockOne(ctx, names...)
		if err != nil {
			return err
		}
		defer turn.Close()
	}
	slot, err := claim()
	if err != nil {
		return err
	}
	c := &cluster{spec: spec, slot: slot, failed: make(chan node.Exit, 32)}
	control := &control{state: c.state(), holders: holders, stop: stop, stopped: make(chan struct{})}
	err = c.up(ctx, control, ready)
	if c.node != nil {
		err = errors.Join(err, c.node.Stop())
	}
	err = errors.Join(err, slot.release())
	control.end()
	return err
}

// up brings the cluster up and keeps it there until ctx ends.
func (c *cluster) up(ctx context.Context, control *control, ready func(State)) error {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.start(start); err != nil {
		return err
	}
	control.state.NodePID = c.node.PID()
	if err := control.serve(); err != nil {
		return err
	}
	ready(control.state)
	<-ctx.Done()
	return nil
}

func (c *cluster) url() string { return "https://" + net.JoinHostPort(c.slot.nodeAddress(), "6443") }

func (c *cluster) state() State {
	return State{
		Name: c.slot.name(), Dir: c.slot.dir, URL: c.url(), Kube: c.spec.Kube, Key: c.spec.Key,
		Address: c.slot.nodeAddress(), HostAddress: c.slot.hostAddress(),
	}
}

func (c *cluster) start(ctx context.Context) error {
	if err := c.writeConfig(); err != nil {
		return err
	}
	var binds []node.Bind
	for _, program := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"} {
		binds = append(binds, node.Bind{Source: c.spec.Kube, Target: bin + program})
	}
	for source, target := range map[string]string{
		"etc-kubernetes": etc, "etc-cni": "/etc/cni/net.d", "audit": auditDir, "run-containerd": "/run/containerd", "pods": "/var/log/pods",
		"var-lib-containerd": "/var/lib/containerd", "var-lib-kubelet": "/var/lib/kubelet", "var-lib-etcd": "/var/lib/etcd",
	} {
		source = filepath.Join(c.slot.dir, source)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		binds = append(binds, node.Bind{Source: source, Target: target})
	}
	if err := os.Chmod(filepath.Join(c.slot.dir, "var-lib-etcd"), 0o700); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	machine, err := node.Boot(node.Config{
		Name: c.slot.name(), Dir: c.slot.dir, Link: c.slot.link(),
		Address: c.slot.nodeAddress() + "/24", Gateway: c.slot.hostAddress() + "/24",
		Routes: []string{c.slot.pods(), c.slot.services()}, Binds: binds,
	})
	if err != nil {
		return err
	}
	c.node = machine
	if err := logTo(machine.Log("keeper")); err != nil {
		return err
	}
	go func() {
		for e := range machine.Exits() {
			fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), e.Name, e.Status)
			select {
			case c.failed <- e:
			default: // nobody looks any more
			}
		}
	}()
	return c.startPrograms(ctx)
}

// logTo sends standard error to a file, whose removal is the slot's.
func logTo(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Dup3(int(f.Fd()), 2, 0)
}

func (c *cluster) startPrograms(ctx context.Context) error {
	if c.spec.Options.Kubeadm {
		return c.startKubeadm(ctx)
	}
	if err := c.run("etcd", "kube-apiserver"); err != nil {
		return err
	}
	if c.spec.Options.Kubelet {
		if err := c.startContainerd(); err != nil {
			return err
		}
	}
	if err := c.wait(ctx, "kube-apiserver", c.apiReady); err != nil {
		return err
	}
	if err := c.run("kube-controller-manager", "kube-scheduler"); err != nil {
		return err
	}
	if !c.spec.Options.Kubelet {
		return nil
	}
	if err := c.wait(ctx, "containerd", c.importImages); err != nil {
		return err
	}
	if err := c.run("kubelet", "kube-proxy"); err != nil {
		return err
	}
	return c.wait(ctx, "kubelet", c.nodeReady)
}

func (c *cluster) startContainerd() error {
	return c.node.Start(node.Process{Name: "containerd", Args: []string{"containerd", "--config", etc + "/containerd.toml"}})
}

// run starts programs of Kubernetes with their flags.
func (c *cluster) run(programs ...string) error {
	for _, program := range programs {
		args := append([]string{bin + program}, c.flags(program)...)
		if err := c.node.Start(node.Process{Name: program, Args: args}); err != nil {
			return err
		}
	}
	return nil
}

// wait asks until there is no error any more, and gives up when a program ends.
func (c *cluster) wait(ctx context.Context, program string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if crashed := c.crashedPod(); crashed != "" {
			return fmt.Errorf("%s does not stay up:\n%s", filepath.Base(filepath.Dir(crashed)), lastLines(crashed, 15))
		}
		select {
		case e := <-c.failed:
			return fmt.Errorf("%s: %s\n%s", e.Name, e.Status, lastLines(c.node.Log(e.Name), 15))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w)\n%s", program, ctx.Err(), err, lastLines(c.node.Log(program), 15))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// connect makes the administrator's client.
func (c *cluster) connect() error {
	ca, err := os.ReadFile(filepath.Join(c.slot.dir, "etc-kubernetes/pki/ca.crt"))
	if err != nil {
		return err
	}
	pki := filepath.Join(c.slot.dir, "etc-kubernetes/pki")
	pair, err := tls.LoadX509KeyPair(pki+"/apiserver-kubelet-client.crt", pki+"/apiserver-kubelet-client.key")
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c.client = &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}},
	}
	return nil
}

func (c *cluster) get(ctx context.Context, path string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, path, "")
}

// send sends a request whose body, if any, is an object to apply.
func (c *cluster) send(ctx context.Context, method, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, answer)
	}
	return answer, err
}

func (c *cluster) apiReady(ctx context.Context) error {
	_, err := c.get(ctx, "/readyz")
	return err
}

func (c *cluster) nodeReady(ctx context.Context) error {
	body, err := c.get(ctx, "/api/v1/nodes/"+c.slot.name())
	if err != nil {
		return err
	}
	var n struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return err
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == "Ready" {
			if condition.Status == "True" {
				return nil
			}
			return errors.New(condition.Message)
		}
	}
	return errors.New("the node has no condition yet")
}

// importImages gives containerd the image of pod sandboxes, a program that sleeps, and the
// same by the names of the control plane's.
func (c *cluster) importImages(ctx context.Context) error {
	state := c.state()
	if _, err := os.Stat(state.Containerd()); err != nil {
		return err
	}
	pause, err := image.Busybox("/bin/busybox", "sleep", "2147483647")
	if err != nil {
		return err
	}
	return image.Import(ctx, state.Containerd(), pause, append(kubeadmImages(), podImage)...)
}
