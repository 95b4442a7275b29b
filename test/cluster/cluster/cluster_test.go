package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/keeper"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const webManifest = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: %[1]s
    command: [/bin/sh, -c, "mkdir /www; echo from the pod >/www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: client, image: "%[1]s"}
`

// TestPods runs pods and goes every way there is between them and the test.
func TestPods(t *testing.T) {
	c := cluster.Shared(t)
	if again := cluster.Shared(t); again.Dir != c.Dir {
		t.Errorf("shared in %s, then in %s", c.Dir, again.Dir)
	}
	ns := c.Namespace(t)
	c.Apply(t, ns, fmt.Sprintf(webManifest, c.Busybox(t)))
	web := c.WaitPod(t, ns, "web")
	c.WaitPod(t, ns, "client")
	service, err := c.Get(t.Context(), "/api/v1/namespaces/"+ns+"/services/web")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(c.HostAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from the test\n") })}
	go server.Serve(listener)
	defer server.Close()

	podAddress, serviceAddress := web.String("status", "podIP"), service.String("spec", "clusterIP")
	inClient := func(url string) string {
		return c.Kubectl(t, "exec", "-n", ns, "client", "--", "wget", "-q", "-O", "-", url)
	}
	c.Wait(t, "the service", func() error {
		_, err := get(t.Context(), "http://"+serviceAddress)
		return err
	})
	fromTest, err := get(t.Context(), "http://"+podAddress+":8080")
	if err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ way, got, want string }{
		{"test to pod", fromTest, "from the pod\n"},
		{"pod to pod", inClient("http://" + podAddress + ":8080"), "from the pod\n"},
		{"pod to service", inClient("http://" + serviceAddress), "from the pod\n"},
		{"pod to test", inClient("http://" + listener.Addr().String()), "from the test\n"},
		{"log", c.Kubectl(t, "logs", "-n", ns, "web"), "started\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.way, tt.got, tt.want)
		}
	}
	ps, err := c.NodeCommand(t.Context(), "cat", "/proc/1/cgroup", "/etc/hosts", "/var/lib/kubelet/cpu_manager_state").Output()
	if err != nil {
		t.Errorf("on the node: %v", err)
	}
	if !strings.Contains(string(ps), c.Name) || strings.Contains(string(ps), "/"+c.Name+"/") {
		t.Errorf("the node does not look like a machine of its own:\n%s", ps)
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// TestOptions: flags, files and configurations reach the programs.
func TestOptions(t *testing.T) {
	c := cluster.Start(t, cluster.Options{
		AuditPolicy: "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n  users: [jane]\n- level: None\n",
		Encryption: `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: a, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}
`,
		Admission: `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: restricted}
`,
		Files: map[string]string{"tokens.csv": "secret-token,robot,1\n"},
		Flags: map[string]map[string]string{"kube-apiserver": {
			"token-auth-file": "/etc/kubernetes/tokens.csv", "enable-admission-plugins": cluster.Unset,
		}},
	})
	ns := c.Namespace(t)
	path := "/api/v1/namespaces/" + ns
	jane := c.As(t, "jane", "dev")
	if _, err := jane.Get(t.Context(), path+"/secrets"); cluster.Code(err) != http.StatusForbidden {
		t.Errorf("jane lists secrets: %v", err)
	}
	audit, err := os.ReadFile(c.AuditLog())
	if err != nil || !strings.Contains(string(audit), `"username":"jane"`) || strings.Contains(string(audit), "system:masters") {
		t.Errorf("audit log: %v\n%s", err, audit)
	}
	privileged := map[string]any{"metadata": map[string]any{"name": "p"}, "spec": map[string]any{"containers": []any{
		map[string]any{"name": "c", "image": "i", "securityContext": map[string]any{"privileged": true}},
	}}}
	if _, err := c.Post(t.Context(), path+"/pods", privileged); cluster.Code(err) != http.StatusForbidden {
		t.Errorf("a privileged pod: %v", err)
	}
	c.Apply(t, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: correct horse}\n")
	if stored := string(c.Stored(t, "/registry/secrets/"+ns+"/s")); !strings.Contains(stored, "k8s:enc:secretbox") || strings.Contains(stored, "correct horse") {
		t.Errorf("the secret is not encrypted in etcd: %q", stored)
	}
	robot := c.Kubectl(t, "--kubeconfig=/dev/null", "--server", c.URL, "--insecure-skip-tls-verify", "--token=secret-token", "auth", "whoami")
	if !strings.Contains(robot, "robot") {
		t.Errorf("token of a file: %s", robot)
	}
	command, err := c.NodeCommand(t.Context(), "sh", "-c", "cat /proc/[0-9]*/cmdline").Output()
	if err != nil || strings.Contains(string(command), "enable-admission-plugins") {
		t.Errorf("an unset flag is there (%v)", err)
	}
}

// TestStartFails: the error has what the program said about a wrong option.
func TestStartFails(t *testing.T) {
	testenv.Linux(t)
	testenv.Root(t)
	program, kube := cluster.Programs(t)
	_, err := keeper.Spawn(t.Context(), program, keeper.Spec{Kube: kube, Hold: []int{os.Getpid()}, Options: cluster.Options{
		Flags: map[string]map[string]string{"kube-apiserver": {"no-such-flag": "1"}},
	}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("error %v", err)
	}
}

// TestNothingIsLeft kills who needs a cluster, and, with pods running, who owns it.
func TestNothingIsLeft(t *testing.T) {
	if kind := os.Getenv("SEAWALL_TEST_HOLD"); kind != "" {
		hold(t, kind == "pods")
	}
	for _, tt := range []struct {
		name, hold string
		kill       func(t *testing.T, test, keeper int)
		down       bool
	}{
		{name: "test killed", hold: "control plane", kill: func(t *testing.T, test, _ int) { kill(t, test) }},
		{name: "keeper killed", hold: "pods", down: true, kill: func(t *testing.T, test, keeper int) {
			kill(t, keeper)
			kill(t, test)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program, _ := cluster.Programs(t)
			cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$")
			cmd.Env = append(os.Environ(), "SEAWALL_TEST_HOLD="+tt.hold)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			var held struct {
				State  keeper.State
				Keeper int
			}
			said := bufio.NewReader(stdout)
			line, err := said.ReadBytes('\n')
			if err != nil || json.Unmarshal(line, &held) != nil {
				rest, _ := io.ReadAll(said)
				t.Fatalf("starting a cluster: %v %s%s", err, line, rest)
			}
			if left := leftovers(held.State, true); len(left) < 4 {
				t.Fatalf("before: only %q", left)
			}
			tt.kill(t, cmd.Process.Pid, held.Keeper)
			var left []string
			for range 200 {
				if left = leftovers(held.State, !tt.down); len(left) == 0 {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			if tt.down {
				if out, err := exec.Command(program, "down", held.State.Dir).CombinedOutput(); err != nil {
					t.Errorf("down: %v\n%s", err, out)
				}
				if left := leftovers(held.State, true); len(left) > 0 {
					t.Errorf("after down: %q", left)
				}
			}
		})
	}
}

// hold is the other process: it has a cluster until it is killed.
func hold(t *testing.T, pods bool) {
	c := cluster.Start(t, cluster.Options{Kubelet: pods})
	if pods {
		ns := c.Namespace(t)
		c.Apply(t, ns, fmt.Sprintf(webManifest, c.Busybox(t)))
		c.WaitPod(t, ns, "web")
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.NodePID))
	if err != nil {
		t.Fatal(err)
	}
	var pid, parent int
	var name, state string
	fmt.Sscan(string(stat), &pid, &name, &state, &parent)
	line, err := json.Marshal(map[string]any{"State": c.State, "Keeper": parent})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
	select {}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// leftovers is what there is of a cluster: processes, interfaces, routes and mounts,
// and, after an orderly end, no cgroups and files either.
func leftovers(state keeper.State, all bool) []string {
	var left []string
	environs, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range environs {
		cgroup, _ := os.ReadFile(path)
		if strings.Contains(string(cgroup), "/"+state.Name) {
			left = append(left, path)
		}
	}
	for _, file := range []string{"/proc/net/dev", "/proc/net/route", "/proc/self/mountinfo"} {
		text, _ := os.ReadFile(file)
		if strings.Contains(string(text), strings.ReplaceAll(state.Name, "-test-", "")) || strings.Contains(string(text), state.Dir+"/") {
			left = append(left, file)
		}
	}
	if !all {
		return left
	}
	for _, pattern := range []string{state.Dir, "/sys/fs/cgroup/" + state.Name, "/sys/fs/cgroup/*/" + state.Name} {
		found, _ := filepath.Glob(pattern)
		left = append(left, found...)
	}
	return left
}
