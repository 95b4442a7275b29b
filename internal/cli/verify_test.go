package cli_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/notaryproject/notation-core-go/testhelper"
	notation "github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seawall-security/seawall/internal/cli"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/internal/verify"
	"github.com/seawall-security/seawall/internal/verify/verifytest"
)

// run runs a command line with a home and cache of its own.
func run(t *testing.T, home string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Run(t.Context(), cli.Invocation{
		Args: args, Environ: []string{"HOME=" + home}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Version: "test",
	})
	return code, out.String(), err.String()
}

// dockerRegistry runs Debian's docker-registry, which has no referrers API.
func dockerRegistry(t *testing.T) string {
	t.Helper()
	program, dir := testenv.Tool(t, "docker-registry"), t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "config.yml")
	writeFile(t, config, fmt.Appendf(nil, "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %q}\n", dir, host))
	cmd := exec.CommandContext(t.Context(), program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("docker-registry did not start")
	return ""
}

func memoryRegistry(t *testing.T, o ...registry.Option) string {
	s := httptest.NewServer(registry.New(append(o, registry.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// artifact is an image manifest that holds one blob.
func artifact(t *testing.T, mediaType string, content []byte, annotations map[string]string) v1.Image {
	t.Helper()
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.MediaType(mediaType)), types.OCIManifestSchema1)
	return must[v1.Image](t)(mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(content, types.MediaType(mediaType)), Annotations: annotations}))
}

// stored is one image and what is written beside it: by tag, or as a referrer.
type stored struct {
	image     v1.Image
	digest    string
	tags      map[string]v1.Image
	referrers []v1.Image
}

// signAll signs an image in every form there is.
func signAll(t *testing.T, s *verifytest.Sigstore, request verifytest.Request) stored {
	t.Helper()
	img := must[v1.Image](t)(random.Image(64, 1))
	img = mutate.MediaType(img, types.OCIManifestSchema1)
	desc := *must[*v1.Descriptor](t)(partial.Descriptor(img))
	out := stored{image: img, digest: desc.Digest.String(), tags: map[string]v1.Image{}}
	base := strings.Replace(out.digest, ":", "-", 1)

	old := request
	old.Version, old.Artifact = "0.1", verifytest.SimpleSigning(out.digest)
	signed := s.Sign(old)
	out.tags[base+".sig"] = artifact(t, "application/vnd.dev.cosign.simplesigning.v1+json", old.Artifact, s.Annotations(signed))

	attested := request
	attested.Version, attested.Statement = "0.1", verifytest.Statement(out.digest, "https://slsa.dev/provenance/v0.2", `{"builder":{"id":"https://ci.example.org"}}`)
	signed = s.Sign(attested)
	out.tags[base+".att"] = artifact(t, "application/vnd.dsse.envelope.v1+json", s.Envelope(signed), s.Annotations(signed))

	vex := request
	vex.Statement = verifytest.Statement(out.digest, "https://openvex.dev/ns/v0.2.0", `{"statements":[]}`)
	const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	out.referrers = append(out.referrers, mutate.Subject(artifact(t, bundle, s.JSON(s.Sign(vex).Bundle), nil), desc).(v1.Image))

	leaf, root := testhelper.GetECLeafCertificate(), testhelper.GetECRootCertificate()
	n := must[*signer.GenericSigner](t)(signer.NewGenericSigner(leaf.PrivateKey, []*x509.Certificate{leaf.Cert, root.Cert}))
	envelope, _, err := n.Sign(t.Context(), ocispec.Descriptor{MediaType: string(desc.MediaType), Digest: digest.Digest(out.digest), Size: desc.Size},
		notation.SignerSignOptions{SignatureMediaType: "application/jose+json"})
	if err != nil {
		t.Fatal(err)
	}
	out.referrers = append(out.referrers, mutate.Subject(artifact(t, "application/jose+json", envelope, nil), desc).(v1.Image))
	return out
}

func (s stored) push(t *testing.T, host, repo string) (ref string) {
	t.Helper()
	ref = host + "/" + repo + ":1"
	images := map[string]v1.Image{"1": s.image}
	for tag, img := range s.tags {
		images[tag] = img
	}
	for i, img := range s.referrers {
		images[fmt.Sprintf("referrer-%d", i)] = img
	}
	if err := remote.Write(must[name.Reference](t)(name.ParseReference(ref)), s.image); err != nil {
		t.Fatal(err)
	}
	for tag, img := range images {
		if err := remote.Write(must[name.Reference](t)(name.ParseReference(host+"/"+repo+":"+tag)), img); err != nil {
			t.Fatal(err)
		}
	}
	return ref
}

// save writes an OCI layout, the cosign tags by name.
func (s stored) save(t *testing.T) string {
	t.Helper()
	path := must[layout.Path](t)(layout.Write(t.TempDir(), empty.Index))
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(path.AppendImage(s.image))
	for tag, img := range s.tags {
		check(path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})))
	}
	for _, img := range s.referrers {
		check(path.AppendImage(img))
	}
	return "oci:" + string(path)
}

func TestVerifyImage(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	_, otherKey := s.Key()
	dir := t.TempDir()
	trust := writeFile(t, filepath.Join(dir, "trusted_root.json"), s.TrustedRoot(verifytest.Parts{}))
	pub := writeFile(t, filepath.Join(dir, "key.pub"), public)
	other := writeFile(t, filepath.Join(dir, "other.pub"), otherKey)
	notary := t.TempDir()
	writeFile(t, filepath.Join(notary, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: testhelper.GetECRootCertificate().Cert.Raw}))

	keyless := signAll(t, s, verifytest.Request{})
	keyed := signAll(t, s, verifytest.Request{Key: key, NoLog: true, NoTimestamp: true})
	bare := stored{image: must[v1.Image](t)(random.Image(64, 1))}
	places := map[string]func(st stored, repo string) string{"layout": func(st stored, _ string) string { return st.save(t) }}
	for name, host := range map[string]string{
		"docker-registry": dockerRegistry(t), "memory": memoryRegistry(t), "referrers API": memoryRegistry(t, registry.WithReferrersSupport(true)),
	} {
		places[name] = func(st stored, repo string) string { return st.push(t, host, repo) }
	}
	who := []string{"--trusted-root", trust, "--identity", verifytest.Identity, "--issuer", verifytest.Issuer}
	for place, put := range places {
		keylessRef, keyedRef, bareRef := put(keyless, "keyless"), put(keyed, "keyed"), put(bare, "bare")
		for _, c := range []struct {
			name string
			ref  string
			args []string
			code int
			want verify.Reason
		}{
			{"keyless", keylessRef, who, 0, ""},
			{"keyless by regexp", keylessRef, []string{"--trusted-root", trust, "--identity-regexp", "@example.org$", "--issuer-regexp", "^https://issuer"}, 0, ""},
			{"provenance", keylessRef, append([]string{"--builder", "https://ci.example.org"}, who...), 0, ""},
			{"vex", keylessRef, append([]string{"--type", "openvex"}, who...), 0, ""},
			{"no SBOM", keylessRef, append([]string{"--type", "sbom"}, who...), 1, verify.ReasonWrongType},
			{"other builder", keylessRef, append([]string{"--builder", "https://evil.example.org"}, who...), 1, verify.ReasonWrongBuilder},
			{"wrong identity", keylessRef, []string{"--trusted-root", trust, "--identity", "x@example.org", "--issuer", verifytest.Issuer}, 1, verify.ReasonWrongIdentity},
			{"public-good root", keylessRef, []string{"--identity", verifytest.Identity, "--issuer", verifytest.Issuer}, 1, verify.ReasonLogInvalid},
			{"key", keyedRef, []string{"--key", pub}, 0, ""},
			{"key, provenance", keyedRef, []string{"--key", pub, "--type", "slsaprovenance"}, 0, ""},
			{"other key", keyedRef, []string{"--key", other}, 1, verify.ReasonWrongKey},
			{"key, log wanted", keyedRef, []string{"--key", pub, "--require-log"}, 1, verify.ReasonLogMissing},
			{"notary", keylessRef, []string{"--trust-store", notary}, 0, ""},
			{"unsigned", bareRef, who, 1, verify.ReasonNoSignature},
			{"key and identity", keyedRef, append([]string{"--key", pub}, who...), 2, ""},
			{"nobody", keyedRef, nil, 2, ""},
			{"issuer only", keyedRef, []string{"--issuer", "x"}, 2, ""},
			{"no such key file", keyedRef, []string{"--key", "/nonexistent"}, 2, ""},
		} {
			t.Run(place+"/"+c.name, func(t *testing.T) {
				code, stdout, stderr := run(t, t.TempDir(), append([]string{"verify", "image", c.ref, "--format", "json"}, c.args...)...)
				if code != c.code {
					t.Fatalf("exit %d, want %d\n%s%s", code, c.code, stdout, stderr)
				}
				if code == 2 {
					return
				}
				var v verify.Verdict
				if err := json.Unmarshal([]byte(stdout), &v); err != nil {
					t.Fatal(err)
				}
				if v.Verified != (code == 0) || v.Reason != c.want {
					t.Errorf("reason %q, want %q\n%s", v.Reason, c.want, stdout)
				}
			})
		}
	}
}

// TestVerifyImageCache: a verified answer outlives the signature, for its time and its policy only.
func TestVerifyImageCache(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	pub := writeFile(t, filepath.Join(t.TempDir(), "key.pub"), public)
	st := signAll(t, s, verifytest.Request{Key: key, NoLog: true, NoTimestamp: true})
	ref, home := st.save(t), t.TempDir()
	ask := func(want int, args ...string) verify.Verdict {
		t.Helper()
		code, stdout, stderr := run(t, home, append([]string{"verify", "image", ref, "--key", pub, "--format", "json"}, args...)...)
		var v verify.Verdict
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != want {
			t.Fatalf("exit %d, want %d\n%s%s", code, want, stdout, stderr)
		}
		return v
	}
	if ask(0).Cached {
		t.Error("the first answer is from the cache")
	}
	if v := ask(0); !v.Cached || v.Name != ref || len(v.Signatures) == 0 {
		t.Errorf("%+v", v)
	}
	if ask(0, "--no-cache").Cached || ask(0, "--type", "slsaprovenance").Cached {
		t.Error("a cached answer to another question")
	}
	if v := ask(1, "--require-log"); v.Cached {
		t.Errorf("%+v", v)
	}
}

func TestVerifyBundle(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	dir := t.TempDir()
	content := []byte("content\n")
	trust := writeFile(t, filepath.Join(dir, "trusted_root.json"), s.TrustedRoot(verifytest.Parts{}))
	pub := writeFile(t, filepath.Join(dir, "key.pub"), public)
	file := writeFile(t, filepath.Join(dir, "file"), content)
	changed := writeFile(t, filepath.Join(dir, "changed"), append([]byte("x"), content...))
	bundle := writeFile(t, filepath.Join(dir, "bundle"), s.JSON(s.Sign(verifytest.Request{Artifact: content}).Bundle))
	keyed := writeFile(t, filepath.Join(dir, "keyed"), s.JSON(s.Sign(verifytest.Request{Artifact: content, Key: key, NoLog: true, NoTimestamp: true}).Bundle))
	junk := writeFile(t, filepath.Join(dir, "junk"), []byte("junk"))
	who := []string{"--identity", verifytest.Identity, "--issuer", verifytest.Issuer, "--trusted-root", trust, "--offline"}
	digestFlag := "sha256:" + digest.FromBytes(content).Encoded()
	for _, c := range []struct {
		name string
		code int
		args []string
	}{
		{"certificate", 0, append([]string{"--bundle", bundle, "--artifact", file}, who...)},
		{"digest", 0, append([]string{"--bundle", bundle, "--digest", digestFlag}, who...)},
		{"key", 0, []string{"--bundle", keyed, "--artifact", file, "--key", pub}},
		{"changed file", 1, append([]string{"--bundle", bundle, "--artifact", changed}, who...)},
		{"key, changed file", 1, []string{"--bundle", keyed, "--artifact", changed, "--key", pub}},
		{"junk", 1, append([]string{"--bundle", junk, "--artifact", file}, who...)},
		{"trust root that is none", 1, []string{"--bundle", bundle, "--artifact", file, "--trusted-root", junk, "--identity", "x", "--issuer", "y"}},
		{"no bundle", 2, append([]string{"--artifact", file}, who...)},
		{"missing bundle", 2, append([]string{"--bundle", "/nonexistent", "--artifact", file}, who...)},
		{"missing artifact", 2, append([]string{"--bundle", bundle, "--artifact", "/nonexistent"}, who...)},
		{"artifact and digest", 2, append([]string{"--bundle", bundle, "--artifact", file, "--digest", digestFlag}, who...)},
		{"no digest", 2, append([]string{"--bundle", bundle, "--digest", "sha256:xyz"}, who...)},
		{"key and identity", 2, append([]string{"--bundle", bundle, "--artifact", file, "--key", pub}, who...)},
		{"key that is none", 2, []string{"--bundle", keyed, "--artifact", file, "--key", junk}},
		{"identity without issuer", 2, []string{"--bundle", bundle, "--artifact", file, "--identity", "x"}},
		{"bad regexp", 2, []string{"--bundle", bundle, "--artifact", file, "--identity-regexp", "(", "--issuer", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, dir, append([]string{"verify", "bundle"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit %d, want %d\n%s%s", code, c.code, stdout, stderr)
			}
			if code == 1 && !strings.HasPrefix(stdout, "NOT VERIFIED") || code == 0 && !strings.HasPrefix(stdout, "verified") || code == 2 && stderr == "" {
				t.Errorf("out: %s\nerr: %s", stdout, stderr)
			}
		})
	}
}

// A scan that is told whose signature to expect reports it, blocks without it,
// and does not take a place that cannot answer for an answer.
func TestScanVerifies(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	_, otherKey := s.Key()
	dir := t.TempDir()
	pub, other := writeFile(t, filepath.Join(dir, "key.pub"), public), writeFile(t, filepath.Join(dir, "other.pub"), otherKey)
	keyed := signAll(t, s, verifytest.Request{Key: key, NoLog: true, NoTimestamp: true})
	bare := stored{image: must[v1.Image](t)(random.Image(64, 1))}
	host := memoryRegistry(t)
	keyedRef, bareRef := keyed.push(t, host, "keyed"), bare.push(t, host, "bare")
	layout := keyed.save(t)
	archive := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(archive, must[name.Tag](t)(name.NewTag("app:1")), bare.image); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		ref, key string
		code     int
		status   seawall.Status
		evidence string
	}{
		"registry":          {keyedRef, pub, 0, seawall.StatusPass, "signed by key sha256:"},
		"layout":            {layout, pub, 0, seawall.StatusPass, "signed by key sha256:"},
		"another key":       {keyedRef, other, 1, seawall.StatusFail, "wrong-key"},
		"unsigned":          {bareRef, pub, 1, seawall.StatusFail, "no-signature"},
		"no place for them": {"docker-archive:" + archive, pub, 3, "", ""},
		"no such key":       {keyedRef, filepath.Join(dir, "none"), 2, "", ""},
		"nobody asked":      {bareRef, "", 0, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			args := []string{"scan", "image", c.ref, "--format", "json", "--fail-on", "high"}
			if c.key != "" {
				args = append(args, "--verify-key", c.key)
			}
			code, stdout, stderr := run(t, t.TempDir(), args...)
			if code != c.code {
				t.Fatalf("exit %d, want %d\n%s", code, c.code, stderr)
			}
			if code > 1 {
				return
			}
			var report seawall.Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatal(err)
			}
			var found []seawall.Finding
			for _, f := range report.Findings {
				if f.Kind == seawall.KindSignature {
					found = append(found, f)
				}
			}
			v := report.Asset.Image.Verification
			if c.status == "" {
				if len(found) > 0 || v != nil {
					t.Errorf("%+v, %+v", found, v)
				}
				return
			}
			if len(found) != 1 || found[0].Status != c.status || !strings.HasPrefix(found[0].Evidence, c.evidence) || !slices.Contains(found[0].Frameworks, "nist-800-190:4.1.5") {
				t.Errorf("%+v", found)
			}
			if v == nil || v.Verified != (c.status == seawall.StatusPass) || v.Verified == (len(v.Signatures) == 0) {
				t.Errorf("verification %+v", v)
			}
		})
	}
}

// Every image of a registry is asked for its signature.
func TestScanRegistryVerifies(t *testing.T) {
	s := verifytest.New(t)
	key, public := s.Key()
	pub := writeFile(t, filepath.Join(t.TempDir(), "key.pub"), public)
	host := memoryRegistry(t)
	signAll(t, s, verifytest.Request{Key: key, NoLog: true, NoTimestamp: true}).push(t, host, "keyed")
	stored{image: must[v1.Image](t)(random.Image(64, 1))}.push(t, host, "bare")
	code, stdout, stderr := run(t, t.TempDir(), "scan", "registry", host, "--include", "*:1", "--verify-key", pub, "--format", "json")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	var report seawall.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	got := map[string]seawall.Status{}
	for _, a := range report.Assets {
		for _, f := range report.Findings {
			if f.Kind == seawall.KindSignature && f.Rule == "SW-SIG-001" && f.Asset == a.ID {
				got[strings.TrimPrefix(a.Name, host+"/")] = f.Status
			}
		}
	}
	if diff := cmp.Diff(map[string]seawall.Status{"keyed:1": seawall.StatusPass, "bare:1": seawall.StatusFail}, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, stderr)
	}
}
