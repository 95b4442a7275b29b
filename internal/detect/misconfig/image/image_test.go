package image

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// sound is an image that breaks no rule.
func sound() seawall.Asset {
	return seawall.Asset{ID: "a", Kind: seawall.AssetImage, Name: "registry.example.org/app:1", Image: &seawall.ImageInfo{
		Created: "2026-11-01T00:00:00Z", User: "10001", Healthcheck: []string{"CMD", "/check"}, Entrypoint: []string{"/app"},
		Env: []string{"PATH=/usr/local/bin:/usr/bin", "DB_PASSWORD_FILE=/run/secrets/db", "LD_LIBRARY_PATH=:/opt/lib"}, ExposedPorts: []string{"8080/tcp"}, Volumes: []string{"/data"},
		Labels: map[string]string{"org.opencontainers.image.source": "https://example.org"}, RepoTags: []string{"registry.example.org/app:1"},
		Layers:  []seawall.LayerInfo{{Index: 0, Digest: "sha256:a"}, {Index: 1, Digest: "sha256:b"}},
		History: []seawall.HistoryStep{{CreatedBy: "/bin/sh -c #(nop) ADD file:0123 in / "}, {CreatedBy: "/bin/sh -c #(nop) CMD [\"bash\"]", EmptyLayer: true}, {CreatedBy: "RUN |1 VERSION=3 /bin/sh -c apt-get update && apt-get install -y x # buildkit"}},
	}}
}

func judgeImage(t *testing.T, a seawall.Asset, packages ...seawall.Package) []seawall.Finding {
	t.Helper()
	res, err := Detector{}.Detect(t.Context(), detect.Facts{Asset: a, Packages: packages, Now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return res.Findings
}

func TestRules(t *testing.T) {
	if f := judgeImage(t, sound(), seawall.Package{Kind: "os", Name: "bash"}, seawall.Package{Kind: "language", Name: "sudo"}); len(f) > 0 {
		t.Fatalf("sound image: %+v", f)
	}
	history := func(step string) func(*seawall.ImageInfo) {
		return func(i *seawall.ImageInfo) { i.History[2].CreatedBy = step }
	}
	env := func(e string) func(*seawall.ImageInfo) {
		return func(i *seawall.ImageInfo) { i.Env = append(i.Env, e) }
	}
	cases := []struct {
		rule  string
		spoil func(*seawall.ImageInfo)
	}{
		{"SW-IMG-001", func(i *seawall.ImageInfo) { i.User = "" }},
		{"SW-IMG-001", func(i *seawall.ImageInfo) { i.User = "0:0" }},
		{"SW-IMG-002", func(i *seawall.ImageInfo) { i.Healthcheck = nil }},
		{"SW-IMG-003", func(i *seawall.ImageInfo) { i.ExposedPorts = []string{"22/tcp"} }},
		{"SW-IMG-004", env("DB_PASSWORD=hunter2")},
		{"SW-IMG-005", func(i *seawall.ImageInfo) { i.Created = "2026-01-01T00:00:00Z" }},
		{"SW-IMG-006", func(i *seawall.ImageInfo) { i.RepoTags = []string{"registry.example.org/app:latest"} }},
		{"SW-IMG-009", func(i *seawall.ImageInfo) { i.Cmd = []string{"/usr/sbin/sshd", "-D"} }},
		{"SW-IMG-010", env("PATH=.:/bin")},
		{"SW-IMG-010", env("LD_PRELOAD=/x.so")},
		{"SW-IMG-011", func(i *seawall.ImageInfo) { i.Volumes = []string{"/etc"} }},
		{"SW-IMG-012", func(i *seawall.ImageInfo) { i.Entrypoint = []string{"/bin/sh", "-c", "/app"} }},
		{"SW-IMG-013", func(i *seawall.ImageInfo) { i.Labels = nil }},
		{"SW-IMG-014", env("GIT_SSL_NO_VERIFY=true")},
		{"SW-IMG-015", history("ADD https://example.org/a /a # buildkit")},
		{"SW-IMG-016", history("RUN /bin/sh -c curl https://x | sh # buildkit")},
		{"SW-IMG-017", history("/bin/sh -c apt-get update")},
		{"SW-IMG-018", history("/bin/sh -c chmod -R 777 /app")},
		{"SW-IMG-019", history("/bin/sh -c apt-get install -y --force-yes x")},
		{"SW-IMG-020", history("|1 A=b /bin/sh -c curl -k https://x")},
		{"SW-IMG-021", history("/bin/sh -c git clone https://u:hunter2@x/y")},
		{"SW-IMG-022", history("|1 NPM_TOKEN=hunter2 /bin/sh -c npm ci")},
		{"SW-IMG-023", history("/bin/sh -c echo 'a ALL=NOPASSWD: ALL' > /etc/sudoers.d/a")},
	}
	tested := []string{"SW-IMG-007", "SW-IMG-008"}
	for _, c := range cases {
		tested = append(tested, c.rule)
		a := sound()
		c.spoil(a.Image)
		findings := judgeImage(t, a)
		if len(findings) != 1 || findings[0].Rule != c.rule || findings[0].Status != seawall.StatusFail || findings[0].Title == "" {
			t.Errorf("%s: %+v", c.rule, findings)
			continue
		}
		f := findings[0]
		if strings.Contains(f.Evidence, "hunter2") {
			t.Errorf("%s shows the secret: %s", c.rule, f.Evidence)
		}
		if fromHistory := strings.HasPrefix(f.Location.Field, "history"); fromHistory != (f.Layer != nil) || fromHistory && f.Layer.Digest != "sha256:b" {
			t.Errorf("%s: layer %+v", c.rule, f.Layer)
		}
	}
	for _, r := range rules() {
		if !slices.Contains(tested, r.ID) {
			t.Errorf("%s has no case", r.ID)
		}
	}
}

func TestPackages(t *testing.T) {
	location := []seawall.Location{{Path: "var/lib/dpkg/status"}}
	got := judgeImage(t, sound(), seawall.Package{Kind: "os", Name: "sudo", Version: "1.9", Locations: location}, seawall.Package{Kind: "os", Name: "openssh-server"})
	if len(got) != 2 || got[0].Rule != "SW-IMG-007" || got[0].Package.Version != "1.9" || got[0].Locations[0] != location[0] || got[1].Rule != "SW-IMG-008" {
		t.Errorf("%+v", got)
	}
}

func TestNotEvaluated(t *testing.T) {
	for _, created := range []string{"", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		a := sound()
		a.Image.Created, a.Image.History = created, nil
		got := judgeImage(t, a)
		if len(got) != 2 || slices.ContainsFunc(got, func(f seawall.Finding) bool { return f.Status != seawall.StatusNotEvaluated || f.Reason == "" }) {
			t.Errorf("created %q: %+v", created, got)
		}
	}
	if got := judgeImage(t, seawall.Asset{Kind: seawall.AssetRootFS}); len(got) != 0 {
		t.Errorf("a directory has no image configuration: %+v", got)
	}
}
