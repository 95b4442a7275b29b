package runtime

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/cluster/cluster"
)

const debianServers = `
apiVersion: v1
kind: Pod
metadata: {name: servers}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: servers
    image: seawall.test/servers:1
    command: [/bin/bash, -c, "for s in rsyslog redis-server postgresql php8.2-fpm nginx cron; do service $s start; done; exec sleep 3600"]
    readinessProbe: {exec: {command: [/bin/bash, -c, "curl -fs http://127.0.0.1/ && redis-cli ping && su postgres -c 'psql -c \"select 1\"'"]}, periodSeconds: 2, timeoutSeconds: 10}
`

// Debian's servers, started by their scripts and looked after as people do, ring no alarm.
func TestServers(t *testing.T) {
	testenv.Root(t)
	if os.Getenv("SEAWALL_LONG") != "1" {
		t.Skip("installs servers of Debian, minutes: set SEAWALL_LONG=1")
	}
	root := filepath.Join(t.TempDir(), "root.tar")
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "mmdebstrap"), "--variant=minbase", "--include=nginx-light,redis-server,postgresql,php-fpm,cron,rsyslog,logrotate,curl,procps", "bookworm", root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	layer, err := tarball.LayerFromFile(root)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	c := cluster.Shared(t)
	c.ImportImage(t, "seawall.test/servers:1", img)
	all, err := attacks.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, c, all)
	w := watch(t, c)
	s.canary(t, w)
	c.Apply(t, s.namespace, debianServers)
	c.WaitPod(t, s.namespace, "servers")
	for _, command := range []string{
		"service --status-all", "redis-cli set key value", "logrotate -f /etc/logrotate.conf", "nginx -s reload", "service postgresql restart", "apt list --installed", "dpkg -l", "ps aux", "df -h",
		"tar czf /var/backups/site.tgz /etc/nginx", "ldconfig", "update-alternatives --list awk", "getent passwd root", "crontab -l", "perl -e 'print 1'", "find /etc -name '*.conf'", "grep -r listen /etc/nginx",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, c.Kube, "kubectl", "--kubeconfig", c.Kubeconfig(), "exec", "-n", s.namespace, "servers", "--", "bash", "-c", command).CombinedOutput()
		cancel()
		t.Logf("%s: %v, %d bytes", command, err, len(out))
	}
	s.canary(t, w)
	for _, f := range w.report(t).Findings {
		if f.Event.Fields["k8s.pod.name"] == "servers" {
			t.Errorf("%s: %s", f.Rule, f.Evidence)
		}
	}
}
