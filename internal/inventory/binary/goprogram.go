package binary

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// goProgram is a program known by the path of its main package.
type goProgram struct {
	// path is the main package or a prefix of it ending in "/"; "*" at the end
	// stands for the name.
	path string
	name string
	// ecosystem is "Kubernetes" for its components, "" is "generic".
	ecosystem string
}

func (p goProgram) system() string {
	if p.ecosystem == "" {
		return "generic"
	}
	return p.ecosystem
}

// kubernetesCommand is where the components of Kubernetes have their main packages.
const kubernetesCommand = "k8s.io/kubernetes/cmd/"

// goCommand is the main package of the go command, which stands for an installed toolchain.
const goCommand = "cmd/go"

// knownProgram looks a program up by its main package.
func knownProgram(info *debug.BuildInfo) (goProgram, bool) {
	if name, ok := strings.CutPrefix(info.Path, kubernetesCommand); ok {
		if i := strings.Index(name, "-sdk"); i > 0 { // vendors' builds: kubectl-sdk
			name = name[:i]
		}
		return goProgram{name: name, ecosystem: "Kubernetes"}, true
	}
	for _, p := range [...]goProgram{
		{path: goCommand, name: "go"},
		{path: "github.com/docker/cli/cmd/docker", name: "docker-cli"},
		{path: "github.com/docker/docker/cmd/dockerd", name: "docker"},
		{path: "github.com/moby/moby/cmd/dockerd", name: "docker"},
		{path: "github.com/moby/moby/v2/cmd/dockerd", name: "docker"},
		{path: "github.com/containerd/containerd/cmd/", name: "containerd"},
		{path: "github.com/containerd/containerd/v2/cmd/", name: "containerd"},
		{path: "github.com/opencontainers/runc", name: "runc"},
		{path: "github.com/cri-o/cri-o/cmd/crio", name: "cri-o"},
		{path: "github.com/coredns/coredns", name: "coredns"},
		{path: "go.etcd.io/etcd", name: "etcd"},
		{path: "go.etcd.io/etcd/server/", name: "etcd"},
		{path: "go.etcd.io/etcd/etcdctl/", name: "etcdctl"},
		{path: "github.com/traefik/traefik/v2/cmd/traefik", name: "traefik"},
		{path: "github.com/traefik/traefik/v3/cmd/traefik", name: "traefik"},
		{path: "github.com/containous/traefik/v2/cmd/traefik", name: "traefik"},
		{path: "github.com/caddyserver/caddy/v2/cmd/caddy", name: "caddy"},
		{path: "github.com/nats-io/nats-server", name: "nats-server"},
		{path: "github.com/nats-io/nats-server/v2", name: "nats-server"},
		{path: "github.com/hashicorp/vault", name: "vault"},
		{path: "github.com/hashicorp/consul", name: "consul"},
		{path: "github.com/hashicorp/terraform", name: "terraform"},
		{path: "github.com/prometheus/prometheus/cmd/prometheus", name: "prometheus"},
		{path: "github.com/prometheus/alertmanager/cmd/alertmanager", name: "alertmanager"},
		{path: "github.com/grafana/grafana/pkg/cmd/", name: "grafana"},
		{path: "github.com/minio/minio", name: "minio"},
		{path: "helm.sh/helm/v3/cmd/helm", name: "helm"},
		{path: "helm.sh/helm/v4/cmd/helm", name: "helm"},
	} {
		if info.Path == p.path || strings.HasSuffix(p.path, "/") && strings.HasPrefix(info.Path, p.path) {
			return p, true
		}
	}
	return goProgram{}, false
}

// hasUnstatedVersion reports whether a known program's version has to be searched for in its content.
func hasUnstatedVersion(info *debug.BuildInfo) bool {
	_, known := knownProgram(info)
	version, _ := mainVersion(info)
	return known && version == "" && info.Path != goCommand
}

// maxFramed bounds the version strings kept of one file.
const maxFramed = 64

// maxVersion bounds the length of one.
const maxVersion = 64

// versionScan finds the version strings of a program. In C programs and where -X
// gave them to the linker they stand alone between NUL bytes; the strings of Go
// source are laid end to end, so of those only a VERSION file embedded with its
// line end can be told.
type versionScan struct {
	carry []byte
	found []string
	lines []string // ended by a line end; anything but a version's own bytes before
}

// Write implements io.Writer; it never fails.
func (s *versionScan) Write(chunk []byte) (int, error) {
	// What may begin in the last chunk and end in this one.
	seam := append(s.carry, chunk[:min(len(chunk), maxVersion+2)]...)
	s.scan(seam)
	s.scan(chunk)
	tail := chunk
	if len(chunk) < maxVersion+2 {
		tail = seam
	}
	s.carry = append(s.carry[:0], tail[max(0, len(tail)-maxVersion-2):]...)
	return len(chunk), nil
}

// scan looks at every dot: a version is NUL [v] digits dot digits dot digits … NUL,
// or digits dot digits dot digits line end.
func (s *versionScan) scan(b []byte) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '.')
		if i < 0 {
			return
		}
		at += i + 1
		if bytes.HasSuffix(b[:at-1], []byte("RELEASE")) {
			s.found = addVersion(s.found, releaseDay(b[at:]))
			continue
		}
		start := at - 1
		for start > 0 && at-start < 6 && digit(b[start-1]) {
			start--
		}
		if start == at-1 {
			continue
		}
		if start > 0 && b[start-1] == 'v' {
			start--
		}
		if start == 0 {
			continue
		}
		rest := b[start:min(len(b), start+maxVersion)]
		switch {
		case b[start-1] == 0:
			if end := bytes.IndexByte(rest, 0); end >= 0 {
				s.found = addVersion(s.found, rest[:end])
			}
		case b[start-1] != '.' && !digit(b[start-1]):
			// A major of two digits may have got one from the text before.
			if end := numeric(rest); end < len(rest) && rest[end] == '\n' && rest[1] == '.' {
				s.lines = addVersion(s.lines, rest[:end])
			}
		}
	}
}

// releaseDay turns the day that stands for a version in MinIO's releases
// ("RELEASE.2023-05-04T21-44-30Z") into the version its advisories use: 2023.5.4.
func releaseDay(b []byte) []byte {
	const layout = "2006-01-02T15-04-05Z"
	if len(b) < len(layout) {
		return nil
	}
	day, err := time.Parse(layout, string(b[:len(layout)]))
	if err != nil {
		return nil
	}
	return fmt.Appendf(nil, "%d.%d.%d", day.Year(), day.Month(), day.Day())
}

// addVersion adds text to a list unless it is no version of three numbers, or is in it.
func addVersion(list []string, text []byte) []string {
	v := string(text)
	core, _, _ := strings.Cut(coreVersion(v), "-")
	if len(list) == maxFramed || strings.Count(core, ".") != 2 || slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// coreVersion returns the upstream part of a version that vendors add to:
// "v1.32.4-gke.10" is 1.32.4, "1.6.20~ds1-1+deb12u3" is 1.6.20; a release
// candidate keeps its mark ("1.29.0-rc.1"). It is "" for what is no version of
// two to four numbers.
func coreVersion(s string) string {
	s = strings.TrimPrefix(s, "v")
	n := numeric(s)
	core, rest := s[:n], s[n:]
	if dots := strings.Count(core, "."); dots < 1 || dots > 3 || strings.Contains(core, "..") || core[0] == '.' || core[n-1] == '.' || len(core) > 32 {
		return ""
	}
	switch {
	case rest == "":
		return core
	case strings.IndexByte("-+~ ", rest[0]) < 0:
		return ""
	}
	for _, pre := range [...]string{"-alpha", "-beta", "-rc"} {
		if strings.HasPrefix(rest, pre) {
			end := len(pre)
			for end < len(rest) && (rest[end] == '.' || digit(rest[end])) {
				end++
			}
			return core + strings.TrimSuffix(rest[:end], ".")
		}
	}
	return core
}
