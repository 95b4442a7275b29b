package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// bench knows what is measured.
type bench struct {
	seawall, self string
	input, work   string
}

func (b bench) sections() ([]section, error) {
	image, tree := filepath.Join(b.input, "big"), filepath.Join(b.input, "rootfs")
	if _, err := os.Stat(image); err != nil {
		return nil, fmt.Errorf("%s: %w", b.input, errNoInput)
	}
	sbom := filepath.Join(b.work, "thousand.cdx.json")
	if err := writeSBOM(sbom, 1000); err != nil {
		return nil, err
	}
	return []section{
		{"Image scanned for the first time", append([]row{
			{name: "inflate only", args: []string{b.self, "-inflate", image}},
			b.scan("seawall", "cold", b.forget("cold"), "image", "oci:"+image),
		}, peers(
			peer{"trivy", []string{"image", "--input", image, "--scanners", "vuln", "--skip-db-update", "--skip-java-db-update", "--offline-scan", "--cache-backend", "memory"}},
			peer{"syft", []string{"scan", "oci-dir:" + image, "--output", "syft-json"}},
			peer{"grype", []string{"oci-dir:" + image, "--output", "json"}},
		)...)},
		{"The same image again, layers cached", []row{
			{name: "process start only (`seawall version`)", args: []string{b.seawall, "version"}},
			b.scan("seawall", "warm", nil, "image", "oci:"+image),
		}},
		{"Root filesystem, page cache warm", append([]row{
			b.scan("seawall", "rootfs", nil, "rootfs", tree),
		}, peers(
			peer{"trivy", []string{"rootfs", tree, "--scanners", "vuln", "--skip-db-update", "--skip-java-db-update", "--offline-scan"}},
			peer{"syft", []string{"scan", "dir:" + tree, "--output", "syft-json"}},
			peer{"osv-scanner", []string{"scan", "source", "--recursive", "--offline", "--format", "json", tree}},
		)...)},
		{"Match only", []row{
			{name: "open the database (`seawall db status`)", args: []string{b.seawall, "db", "status"}},
			b.scan("seawall, an SBOM of 1,000 packages", "sbom", nil, "sbom", sbom),
		}},
	}, nil
}

// scan is a row of seawall itself, as JSON, with a cache of its own.
func (b bench) scan(name, cache string, before func() error, args ...string) row {
	all := append([]string{b.seawall, "scan"}, args...)
	return row{name: name, before: before, args: append(all, "--format", "json", "--quiet", "--cache-dir", filepath.Join(b.work, cache))}
}

// forget empties a cache.
func (b bench) forget(cache string) func() error {
	return func() error { return os.RemoveAll(filepath.Join(b.work, cache)) }
}

type peer struct {
	program string
	args    []string
}

// peers are the rows of the programs that are installed.
func peers(candidates ...peer) (rows []row) {
	for _, p := range candidates {
		if path, err := exec.LookPath(p.program); err == nil {
			rows = append(rows, row{name: p.program, args: append([]string{path}, p.args...)})
		}
	}
	return rows
}

// writeSBOM writes a CycloneDX document of n packages over several ecosystems;
// one in ten is a package that has advisories, as in a large application.
func writeSBOM(path string, n int) error {
	type component struct {
		Type    string `json:"type"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
	}
	known := []string{
		"golang/golang.org/x/crypto", "golang/golang.org/x/net", "pypi/django", "pypi/pillow",
		"cargo/openssl", "gem/rails", "composer/symfony/http-kernel", "npm/lodash",
	}
	kinds := []string{"golang/example.org", "pypi", "cargo", "gem", "composer/example", "npm"}
	components := make([]component, n)
	for i := range components {
		name := fmt.Sprintf("%s/package-%d", kinds[i%len(kinds)], i)
		if i%10 == 0 {
			name = known[i/10%len(known)]
		}
		version := fmt.Sprintf("%d.%d.%d", i%7, i%31, i)
		components[i] = component{"library", filepath.Base(name), version, "pkg:" + name + "@" + version}
	}
	data, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
