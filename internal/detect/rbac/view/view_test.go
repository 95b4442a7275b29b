package view_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/rbactest"
	"github.com/seawall-security/seawall/internal/detect/rbac/view"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

var update = flag.Bool("update", false, "write the golden files anew")

func analysis(t testing.TB, manifests string) *rbac.Analysis {
	t.Helper()
	return rbac.Analyse(detect.Facts{Asset: seawall.Asset{ID: "manifests:shop", Kind: seawall.AssetManifests}, Objects: rbactest.Objects(t, manifests)})
}

func shop(t testing.TB) *rbac.Analysis {
	text, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return analysis(t, string(text))
}

// hostile has names that try to become markup; the API server would refuse most of them, a manifest may hold them.
func hostile(t testing.TB) *rbac.Analysis {
	const name = `"</script><img src=x onerror=alert(1)>\n]]>&`
	quoted, _ := json.Marshal(name)
	return analysis(t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: %[1]s}]
`, quoted))
}

func render(t testing.TB, write func(io.Writer, *rbac.Analysis) error, a *rbac.Analysis) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out, a); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func html(w io.Writer, a *rbac.Analysis) error { return view.HTML(w, a, "2026-11-21") }

func TestGolden(t *testing.T) {
	t.Parallel()
	for file, write := range map[string]func(io.Writer, *rbac.Analysis) error{"shop.svg": view.SVG, "shop.dot": view.DOT} {
		got := render(t, write, shop(t))
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got); go test -update writes it anew:\n%s", file, diff)
		}
	}
}

// TestWellFormed: whatever things are called, drawings are XML and pages hold no element of theirs.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*rbac.Analysis{"shop": shop(t), "hostile": hostile(t), "empty": analysis(t, "")} {
		svg := render(t, view.SVG, a)
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, svg)
			}
		}
		page := render(t, html, a)
		if strings.Contains(page, "<img") || strings.Count(page, "</script>") != 2 {
			t.Errorf("%s: a name became markup", name)
		}
		if strings.Contains(page, "http://") && !strings.Contains(page, `xmlns="http://www.w3.org/2000/svg"`) || strings.Contains(page, "https://") {
			t.Errorf("%s: the page refers to something outside", name)
		}
		if dot := render(t, view.DOT, a); strings.Count(dot, "{") < 1 || !strings.HasSuffix(dot, "}\n") || strings.Count(strings.ReplaceAll(strings.ReplaceAll(dot, `\\`, ""), `\"`, ""), `"`)%2 != 0 {
			t.Errorf("%s: DOT with open quotes:\n%s", name, dot)
		}
	}
	if svg := render(t, view.SVG, analysis(t, "")); !strings.Contains(svg, "No path from a workload") {
		t.Errorf("nothing is said about nothing: %s", svg)
	}
}

// TestLarge: a drawing of thousands of paths is bounded, and says what it leaves out.
func TestLarge(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b%d}\nroleRef: {kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: s%d, namespace: n%d}]\n"+
			"---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: n%d}\nspec: {serviceAccountName: s%d, containers: [{name: c}]}\n", i, i, i, i, i, i)
	}
	svg := render(t, view.SVG, analysis(t, b.String()))
	if len(svg) > 1<<20 || !strings.Contains(svg, "1700 more positions are not drawn") {
		t.Errorf("%d bytes; %s", len(svg), svg[max(0, len(svg)-300):])
	}
}

// TestContrast keeps the text of both themes at the contrast of WCAG 2.2 AA.
func TestContrast(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([\w-]+): light-dark\(#(\w+), #(\w+)\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	pairs := [][2]string{{"ink", "page"}, {"ink", "card"}, {"ink", "pick"}, {"soft", "page"}, {"soft", "card"}, {"soft", "sunk"}, {"warn-ink", "warn-back"}}
	for _, s := range []string{"critical", "high", "medium", "low", "negligible"} {
		pairs = append(pairs, [2]string{"badge-ink", s})
	}
	for _, p := range pairs {
		for i, theme := range []string{"light", "dark"} {
			a, b := luminance(t, colours[p[0]][i]), luminance(t, colours[p[1]][i])
			if c := (max(a, b) + 0.05) / (min(a, b) + 0.05); c < 4.5 {
				t.Errorf("%s on %s is %.2f:1 in %s", p[0], p[1], c, theme)
			}
		}
	}
}

// TestInBrowser runs the page in a real browser under its policy: nothing is
// refused, and it answers the question it opens with as the program does.
func TestInBrowser(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("set SEAWALL_LONG=1 to open the page in Chromium")
	}
	browser := testenv.Tool(t, "chromium")
	for name, test := range map[string]struct {
		a    *rbac.Analysis
		want []string
	}{
		"shop":    {shop(t), []string{"3 subjects can get secrets in all namespaces at once", "ClusterRoleBinding/operator → ClusterRole/operator", "Deployment/platform/operator"}},
		"hostile": {hostile(t), []string{"1 subject can get secrets", "&lt;img src=x"}},
		"empty":   {analysis(t, ""), []string{"0 subjects can get secrets", "No path from a workload"}},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "access.html")
		if err := os.WriteFile(file, []byte(render(t, html, test.a)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr", "--dump-dom", "file://"+file)
		var log bytes.Buffer
		cmd.Stderr = &log
		dom, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, log.String())
		}
		if strings.Contains(log.String(), "CONSOLE") {
			t.Errorf("%s: the console says:\n%s", name, log.String())
		}
		for _, want := range test.want {
			if !bytes.Contains(dom, []byte(want)) {
				t.Errorf("%s: no %q in the page", name, want)
			}
		}
		if bytes.Contains(dom, []byte("<img")) {
			t.Errorf("%s: a name became an element", name)
		}
	}
}

// luminance is the relative luminance of WCAG 2.2 of an sRGB colour in hexadecimal.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	var r, g, b uint8
	if _, err := fmt.Sscanf(hex, "%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatalf("colour %q: %v", hex, err)
	}
	linear := func(v uint8) float64 {
		if c := float64(v) / 255; c > 0.04045 {
			return math.Pow((c+0.055)/1.055, 2.4)
		} else {
			return c / 12.92
		}
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}
