package admission

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seawall-security/seawall/internal/testenv"
	"github.com/seawall-security/seawall/internal/verify/verifytest"
	"github.com/seawall-security/seawall/test/cluster/cluster"
	"github.com/seawall-security/seawall/test/cluster/image"
)

// images is Debian's docker-registry with images to judge.
type images struct {
	host string
	// key is the public key of whoever signed good and sick.
	key string
	// good has nothing wrong, unsigned no signature; bad has a vulnerability that is exploited, a critical one,
	// a key and malware; old is of a distribution that gets no fixes.
	good, unsigned, bad, old string
}

func serveImages(t *testing.T, c *cluster.Cluster) images {
	t.Helper()
	host := startRegistry(t, c.HostAddress)
	signer := verifytest.New(t)
	private, public := signer.Key()
	push := func(tag string, signed bool, files map[string]string) string {
		contents := map[string][]byte{"etc/motd": []byte(tag)}
		for path, text := range files {
			contents[path] = []byte(text)
		}
		img, err := image.FromFiles(contents, "/bin/app")
		if err != nil {
			t.Fatal(err)
		}
		img = mutate.MediaType(img, types.OCIManifestSchema1)
		write(t, host+"/shop/app:"+tag, img)
		if signed {
			digest, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			payload := verifytest.SimpleSigning(digest.String())
			signature := signer.Sign(verifytest.Request{Artifact: payload, Key: private, NoLog: true, NoTimestamp: true})
			write(t, host+"/shop/app:"+strings.Replace(digest.String(), ":", "-", 1)+".sig", signatureImage(t, payload, signature.Bundle.GetMessageSignature().GetSignature()))
		}
		return host + "/shop/app:" + tag
	}
	return images{
		host: host, key: string(public),
		good:     push("good", true, nil),
		unsigned: push("unsigned", false, nil),
		bad: push("bad", true, map[string]string{
			"app/vendor/composer/installed.json": `{"packages":[{"name":"drupal/core","version":"8.5.0"}]}`,
			"root/id_rsa":                        testKey(t),
			"srv/eicar.com":                      `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`,
		}),
		old: push("old", true, map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=\"9\"\nPRETTY_NAME=\"Debian GNU/Linux 9 (stretch)\"\n",
			"var/lib/dpkg/status": "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9.9\n"}),
	}
}

// testKey is a private key that opens nothing.
func testKey(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "openssl"), "genrsa", "2048").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// signatureImage is what cosign stores beside an image that a key signed.
func signatureImage(t *testing.T, payload, signature []byte) v1.Image {
	t.Helper()
	const mediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	img, err := mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(payload, mediaType),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func write(t *testing.T, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err == nil {
		err = remote.Write(r, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startRegistry runs docker-registry where the cluster reaches it.
func startRegistry(t *testing.T, address string) string {
	t.Helper()
	program, dir := testenv.Tool(t, "docker-registry"), t.TempDir()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Appendf(nil, "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("docker-registry did not start")
	return ""
}
