package nodeconf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestBadFiles(t *testing.T) {
	bomb := "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\na0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		prev := string(rune('0' + i - 1))
		bomb += "a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*a"+prev+",", 9), ",") + "]\n"
	}
	deep := `{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "x": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}"
	for _, c := range []struct {
		name, path, text string
		want             error
		says             string
	}{
		{"no YAML", "etc/kubernetes/manifests/x.yaml", "kind: [", seawall.ErrCorrupt, "line 1"},
		{"a list", "etc/kubernetes/x.yaml", "- kind: Pod\n", seawall.ErrCorrupt, "mapping"},
		{"aliases that multiply", "var/lib/kubelet/config.yaml", bomb, seawall.ErrCorrupt, "alias"},
		{"nested deeply", "var/lib/kubelet/config.json", deep, seawall.ErrBound, "levels"},
		{"many documents", "etc/kubernetes/x.yaml", strings.Repeat("kind: x\n---\n", 200), seawall.ErrBound, "documents"},
		{"no TOML", "etc/containerd/config.toml", "a = 1\nb = ", seawall.ErrCorrupt, "line 2"},
		{"no JSON", "etc/docker/daemon.json", `{"a": `, seawall.ErrCorrupt, "JSON"},
		{"a damaged certificate", "etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", seawall.ErrCorrupt, "certificate 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(c.path, []byte(c.text))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		line, component, flag, value string
	}{
		{"kube-apiserver --a=b", "kube-apiserver", "--a", "b"},
		{"/usr/bin/kubelet --a b --c", "kubelet", "--c", "true"},
		{"hyperkube kubelet -v 2 --max_pods 10", "kubelet", "--max-pods", "10"},
		{"etcd --x --x=2", "etcd", "--x", "2"},
		{"kube-apiserver --feature-gates=A=true --feature-gates=B=false", "kube-apiserver", "--feature-gates", "A=true,B=false"},
		{"vim --config kubelet.yaml", "", "", ""},
		{"grep --x=kubelet", "", "", ""},
		{"kubelet -", "kubelet", "--", ""},
	} {
		component, flags := command(strings.Fields(c.line))
		if component != c.component || flags[c.flag] != c.value {
			t.Errorf("%s: %q %v", c.line, component, flags)
		}
	}
}

// FuzzParse: any bytes give facts or an error, within bounds, and never a credential.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatal("no samples", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			f.Add(file.Name, file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, p string, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		facts, err := parse(p, data)
		if len(facts) > maxDocuments*20 {
			t.Errorf("%d facts", len(facts))
		}
		for _, fact := range facts {
			if fact.Config == nil || fact.Config.Kind == "" {
				t.Errorf("a fact without a kind: %+v", fact)
			}
			for key, value := range fact.Config.Data {
				last := key[strings.LastIndexByte(key, '.')+1:]
				if secretKey(last) && value != removed && value != "" && fact.Config.Kind != "kubernetes/kubeconfig" && err == nil && !strings.Contains(value, ",") {
					t.Errorf("%s: %s = %q", fact.Config.Kind, key, value)
				}
			}
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add("kubelet --a=b\x00--c")
	f.Add("kube-apiserver\x00--x\x00y\x00-\x00--\x00=")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		component, flags := command(args)
		if (component == "") != (flags == nil) {
			t.Errorf("%q %v", component, flags)
		}
		for name := range flags {
			if !strings.HasPrefix(name, "--") || len(name) == 2 {
				t.Errorf("flag %q", name)
			}
		}
	})
}

func BenchmarkAsking(b *testing.B) {
	paths := []string{"usr/share/doc/x/copyright", "var/lib/dpkg/info/x.list", "home/u/node_modules/a/index.js", "etc/kubernetes/pki/ca.crt"}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range paths[:3] {
			if interesting(p) || listed(p) {
				b.Fatal(p)
			}
		}
		if !interesting(paths[3]) {
			b.Fatal(paths[3])
		}
	}
}
