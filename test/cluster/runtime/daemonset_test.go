package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	source "github.com/seawall-security/seawall/internal/source/manifest"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/test/attacks"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/image"
)

// The chart's DaemonSet has the privileges that the agent needs: as a pod, with the
// capabilities it is given and no others, it finds what happens in another pod, and says
// whose it is.
func TestDaemonSet(t *testing.T) {
	testenv.Root(t)
	c := cluster.Shared(t)
	program, err := os.ReadFile(build(t, "cmd/seawall-agent"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.FromFiles(map[string][]byte{"bin/seawall-agent": program}, "/bin/seawall-agent")
	if err != nil {
		t.Fatal(err)
	}
	c.ImportImage(t, "seawall.test/seawall-agent:1", img)
	for _, test := range []struct {
		name   string
		values []string
	}{
		{"watching", nil},
		{"responding", []string{"agent.respond.enabled=true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			namespace := c.Namespace(t)
			installAgent(t, c, namespace, append(test.values, "agent.enabled=true", "agent.image.repository=seawall.test/seawall-agent", "agent.image.tag=1"))
			var agent string
			c.Wait(t, "the agent to watch", func() error {
				pods, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods?labelSelector=app.kubernetes.io/component=agent")
				if err != nil {
					return err
				}
				if items := pods.List("items"); len(items) == 1 {
					agent = items[0].Name()
				}
				if log := podLog(t, c, namespace, agent); !strings.Contains(log, "msg=watching") {
					status, _ := json.Marshal(pods.List("items"))
					return fmt.Errorf("pod %q: %s\n%s", agent, log, status)
				}
				return nil
			})
			all, err := attacks.All()
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(t, c, all)
			attack := []attacks.Attack{{Attack: "amicontained daemonset"}}
			c.Wait(t, "the finding", func() error {
				s.act(t, attack, false)
				log := podLog(t, c, namespace, agent)
				for line := range strings.Lines(log) {
					var m seawall.Message
					if json.Unmarshal([]byte(line), &m) == nil && m.Finding != nil && m.Finding.Rule == "Tool of attackers started" && s.owns(m.Finding) {
						if digest := m.Finding.Event.Fields["container.image.digest"]; digest != s.digest {
							return fmt.Errorf("the image's digest is %v, want %s", digest, s.digest)
						}
						return nil
					}
				}
				return fmt.Errorf("not in the log: %s", log)
			})
			pod, err := c.Get(t.Context(), "/api/v1/namespaces/"+namespace+"/pods/"+agent)
			if err != nil {
				t.Fatal(err)
			}
			for _, status := range pod.List("status", "containerStatuses") {
				if n := status.At("restartCount"); n != float64(0) {
					t.Errorf("the agent was started again %v times", n)
				}
			}
		})
	}
}

func podLog(t *testing.T, c *cluster.Cluster, namespace, pod string) string {
	t.Helper()
	log, err := c.Do(t.Context(), "GET", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/log", "", nil)
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// installAgent applies the agent's objects of the chart, as it is rendered for a namespace.
func installAgent(t *testing.T, c *cluster.Cluster, namespace string, values []string) {
	t.Helper()
	target, err := source.Open([]string{"../../../deploy/chart"}, source.Options{Helm: source.Helm{Set: values, ReleaseNamespace: namespace}})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	facts, err := target.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if f.Object == nil || !strings.HasSuffix(f.Object.Name, "-agent") {
			continue
		}
		var o cluster.Object
		if err := json.Unmarshal(f.Object.JSON, &o); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ApplyObject(t.Context(), namespace, o); err != nil {
			t.Fatalf("%s %s: %v", f.Object.Kind, f.Object.Name, err)
		}
		if path, err := c.Path(t.Context(), f.Object.APIVersion, f.Object.Kind, f.Object.Namespace, f.Object.Name); err == nil && f.Object.Namespace == "" {
			t.Cleanup(func() {
				if err := c.Delete(t.Context(), path); err != nil {
					t.Log(err)
				}
			})
		}
	}
}
