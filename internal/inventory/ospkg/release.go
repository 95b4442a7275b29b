package ospkg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// releaseConfig is the ConfigFact.Kind of an os-release: its keys and values.
	// The older files are turned into the same keys.
	releaseConfig = "os-release"
	// linkConfig is the ConfigFact.Kind of a symbolic link at the top, as merged
	// /usr has them: Data["target"] is the directory it leads to.
	linkConfig = "top-link"

	maxRelease = 64 << 10
)

// Release reads what names the distribution, os-release(5) and the files older
// than it, and joins the facts of this package.
type Release struct{}

var _ inventory.Joiner = Release{}

// Name implements inventory.Collector.
func (Release) Name() string { return "os/release" }

// Version implements inventory.Collector.
func (Release) Version() int { return 1 }

// releaseFiles are the files that name the distribution, the most telling
// first. Derivatives of Red Hat have a redhat-release too, so their own come before.
func releaseFiles() [11]string {
	return [...]string{
		"etc/os-release",
		"usr/lib/os-release",
		"etc/lsb-release",
		"etc/oracle-release",
		"etc/centos-release",
		"etc/redhat-release",
		"etc/system-release",
		"etc/photon-release",
		"etc/alpine-release",
		"etc/debian_version",
		"etc/arch-release",
	}
}

// Wants implements inventory.Collector.
func (Release) Wants(file string, info fs.FileInfo) bool {
	switch file {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64":
		return info.Mode()&fs.ModeSymlink != 0
	}
	if !strings.HasPrefix(file, "etc/") && file != "usr/lib/os-release" {
		return false
	}
	names := releaseFiles()
	return slices.Contains(names[:], file)
}

// Collect implements inventory.Collector.
func (Release) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	config := seawall.ConfigFact{Kind: releaseConfig, Path: f.Path}
	if !strings.HasPrefix(f.Path, "etc/") && path.Base(f.Path) != "os-release" {
		config.Kind = linkConfig
		config.Data = map[string]string{"target": linkTarget(f.Path, f.Link)}
		return []seawall.Fact{{Config: &config}}, nil
	}
	if f.Link != "" {
		return nil, nil // the file it leads to is wanted under its own name
	}
	if f.Content.Size() > maxRelease {
		return nil, fmt.Errorf("%d bytes, %d are allowed: %w", f.Content.Size(), maxRelease, seawall.ErrBound)
	}
	text, err := io.ReadAll(io.LimitReader(f.Content, maxRelease))
	if err != nil {
		return nil, err
	}
	config.Data = readRelease(path.Base(f.Path), text)
	if len(config.Data) == 0 {
		return nil, nil
	}
	return []seawall.Fact{{Config: &config}}, nil
}

// linkTarget is where a symbolic link leads, relative to the root.
func linkTarget(file, link string) string {
	if !strings.HasPrefix(link, "/") {
		link = "/" + path.Dir(file) + "/" + link
	}
	return path.Clean(link)[1:]
}

// readRelease turns a release file into os-release keys.
func readRelease(base string, text []byte) map[string]string {
	word := string(bytes.TrimSpace(text))
	switch base {
	case "os-release":
		return readShellVariables(text)
	case "lsb-release":
		return readLSB(readShellVariables(text))
	case "alpine-release":
		return releaseKeys("alpine", word, "Alpine Linux "+word)
	case "arch-release":
		return releaseKeys("arch", "", "Arch Linux")
	case "debian_version":
		keys := releaseKeys("debian", word, "Debian GNU/Linux "+word)
		if strings.Contains(word, "/") { // "trixie/sid": before the release
			keys["VERSION_ID"] = ""
		}
		return keys
	}
	line, _, _ := strings.Cut(word, "\n")
	return readRedHat(line)
}

func releaseKeys(id, version, pretty string) map[string]string {
	return map[string]string{"ID": id, "VERSION_ID": version, "PRETTY_NAME": pretty}
}

// readLSB turns the variables of lsb-release into os-release keys. Files that
// state only LSB_VERSION name no distribution.
func readLSB(v map[string]string) map[string]string {
	if v["DISTRIB_ID"] == "" {
		return nil
	}
	keys := releaseKeys(strings.ToLower(v["DISTRIB_ID"]), v["DISTRIB_RELEASE"], v["DISTRIB_DESCRIPTION"])
	keys["VERSION_CODENAME"] = v["DISTRIB_CODENAME"]
	return keys
}

// readRedHat reads the one line of the Red Hat family: "CentOS release 6.10
// (Final)", "VMware Photon OS 4.0".
func readRedHat(line string) map[string]string {
	names := [...]struct{ prefix, id string }{
		{"Red Hat Enterprise Linux", "rhel"},
		{"CentOS", "centos"},
		{"Rocky Linux", "rocky"},
		{"AlmaLinux", "almalinux"},
		{"Oracle Linux", "ol"},
		{"Amazon Linux", "amzn"},
		{"Fedora", "fedora"},
		{"VMware Photon", "photon"},
		{"CBL-Mariner", "mariner"},
	}
	for _, n := range names {
		rest, ok := strings.CutPrefix(line, n.prefix)
		if !ok {
			continue
		}
		version := ""
		for _, word := range strings.Fields(rest) {
			if word[0] >= '0' && word[0] <= '9' {
				version = word
				break
			}
		}
		return releaseKeys(n.id, version, line)
	}
	return nil
}

// readShellVariables reads NAME=value lines with the quoting of os-release(5).
// Lines that are none are ignored, as a shell's comments are.
func readShellVariables(text []byte) map[string]string {
	vars := make(map[string]string)
	for line := range bytes.Lines(text) {
		key, value, found := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		if found && len(key) > 0 && key[0] != '#' {
			vars[string(key)] = unquote(value)
		}
	}
	return vars
}

// unquote takes off single or double quotes; in double quotes a backslash
// escapes the next character.
func unquote(value []byte) string {
	n := len(value)
	if n < 2 || value[0] != value[n-1] || value[0] != '"' && value[0] != '\'' {
		return string(value)
	}
	quote, value := value[0], value[1:n-1]
	if quote == '\'' || bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	plain := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		plain = append(plain, value[i])
	}
	return string(plain)
}

// distribution names the distribution by the most telling file there is; nil
// when there is none.
func distribution(configs []seawall.ConfigFact) *seawall.OS {
	for _, file := range releaseFiles() {
		for i := range configs {
			c := &configs[i]
			if c.Kind == releaseConfig && c.Path == file && c.Data["ID"] != "" {
				return osOf(c.Data)
			}
		}
	}
	return nil
}

// osOf reads the keys of os-release.
func osOf(keys map[string]string) *seawall.OS {
	os := &seawall.OS{
		ID:       strings.ToLower(keys["ID"]),
		Version:  keys["VERSION_ID"],
		Codename: keys["VERSION_CODENAME"],
		Name:     keys["PRETTY_NAME"],
	}
	switch {
	case os.Name == "":
		os.Name = strings.TrimSpace(keys["NAME"] + " " + keys["VERSION"])
	case os.ID == "debian" && os.Name == "Distroless":
		os.Name = "Debian GNU/Linux " + os.Version + " (distroless)"
	}
	if os.ID == "rhcos" && keys["RHEL_VERSION"] != "" {
		// CoreOS counts OpenShift releases; its packages are those of RHEL_VERSION.
		os.ID, os.Version = "rhel", keys["RHEL_VERSION"]
	}
	return os
}
