package ospkg

import (
	"context"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Join implements inventory.Joiner: it sets Asset.OS, completes the packages of
// this package's collectors and marks what they own.
func (Release) Join(ctx context.Context, m *inventory.Merged) error {
	if os := distribution(m.Configs); os != nil {
		m.Asset.OS = os
	}
	found := complete(m.Packages, m.Asset.OS)
	complete(m.Hidden, m.Asset.OS)
	if found > 0 && m.Asset.OS == nil {
		m.Warn("no os-release or the like: the distribution of the packages is not known")
	}
	for _, database := range unmergedLog(m.Configs) {
		m.Warn(database + ": the newest changes are only in its write-ahead log, which is not read; packages may be missing or outdated")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	markOwned(m)
	return nil
}

// complete fills Ecosystem and PURL of the operating-system packages and counts them.
func complete(packages []seawall.Package, os *seawall.OS) int {
	n := 0
	c := completer{os: os}
	if os != nil {
		c.ecosystem = os.Ecosystem()
		c.distro = strings.TrimSuffix(os.ID+"-"+os.Version, "-")
	}
	for i := range packages {
		if p := &packages[i]; p.Kind == Kind && p.Ecosystem == "" {
			n++
			c.complete(p)
		}
	}
	return n
}

// completer holds what the packages of one distribution have in common.
type completer struct {
	os        *seawall.OS
	ecosystem string
	distro    string
}

func (c *completer) complete(p *seawall.Package) {
	kind := strings.TrimSuffix(strings.TrimPrefix(p.PURL, "pkg:"), "/")
	p.Ecosystem = "Linux"
	namespace := ""
	var q packageurl.Qualifiers
	add := func(key, value string) {
		if value != "" {
			q = append(q, packageurl.Qualifier{Key: key, Value: value})
		}
	}
	add("arch", p.Arch)
	if c.os != nil && native(c.os.ID, kind) && !foreign(p, c.os) {
		p.Ecosystem = c.ecosystem
		namespace = purlNamespace(c.os.ID)
		add("distro", c.distro)
	}
	version := p.Version
	if kind == "rpm" {
		if epoch, rest, ok := strings.Cut(version, ":"); ok {
			version = rest
			add("epoch", epoch)
		}
		add("rpmmod", p.Module)
	}
	name := p.Name
	if kind == "portage" {
		namespace, name, _ = strings.Cut(p.Name, "/")
	}
	add("upstream", upstream(kind, p))
	p.PURL = packageurl.NewPackageURL(kind, namespace, name, version, q, "").ToString()
}

// upstream is the qualifier that names the source package: "name",
// "name@version", or for rpm the file name of the source package.
func upstream(kind string, p *seawall.Package) string {
	name, version := p.Source, p.SourceVersion
	switch {
	case name == "" && version == "":
		return ""
	case name == "":
		name = p.Name
	}
	if kind == "rpm" {
		if version == "" {
			_, v, ok := strings.Cut(p.Version, ":")
			if version = v; !ok {
				version = p.Version
			}
		}
		return name + "-" + version + ".src.rpm"
	}
	if version != "" {
		name += "@" + version
	}
	return name
}

// native says whether packages of a type are the distribution's own: an rpm
// database that someone keeps on Debian holds no packages of Debian. For
// distributions not listed every type may be.
func native(id, kind string) bool {
	switch id {
	case "debian", "ubuntu":
		return kind == "deb"
	case "alpine", "wolfi", "chainguard":
		return kind == "apk"
	case "arch":
		return kind == "alpm"
	case "gentoo":
		return kind == "portage"
	case "rhel", "centos", "rocky", "almalinux", "ol", "amzn", "fedora", "photon", "mariner", "azurelinux",
		"sles", "sled", "opensuse-leap", "opensuse-tumbleweed":
		return kind == "rpm"
	}
	return true
}

// purlNamespace is the vendor by the purl specification's examples where it has
// one, else the os-release ID.
func purlNamespace(id string) string {
	switch {
	case id == "rhel":
		return "redhat"
	case strings.HasPrefix(id, "opensuse"):
		return "opensuse"
	case strings.HasPrefix(id, "sle"):
		return "suse"
	}
	return id
}

// markOwned names the owner of every language package and binary that was
// found only in files of the distribution's packages. What foreign packages
// bring is left to be judged by itself.
func markOwned(m *inventory.Merged) {
	links := topLinks(m.Configs)
	owners := make(map[string]string)
	strangers := make(map[string]bool)
	for i := range m.Packages {
		if p := &m.Packages[i]; p.Kind == Kind {
			if foreign(p, m.Asset.OS) {
				strangers[p.Name] = true
			}
		} else {
			for j := range p.Locations {
				owners[links.follow(p.Locations[j].Path)] = ""
			}
		}
	}
	for i := range m.Files {
		if f := &m.Files[i]; f.Owner != "" && !strangers[f.Owner] {
			file := links.follow(f.Path)
			if _, wanted := owners[file]; wanted {
				owners[file] = f.Owner
			}
		}
	}
	for i := range m.Packages {
		if p := &m.Packages[i]; p.Kind != Kind && p.Owner == "" {
			p.Owner = ownerOf(p, links, owners)
		}
	}
}

// ownerOf is the owner of a package's first place, "" unless every place is owned.
func ownerOf(p *seawall.Package, links topLinkTable, owners map[string]string) string {
	owner := ""
	for i := range p.Locations {
		o := owners[links.follow(p.Locations[i].Path)]
		if o == "" {
			return ""
		}
		if owner == "" {
			owner = o
		}
	}
	return owner
}

// topLinkTable holds the symbolic links of the top directories: "bin/" -> "usr/bin/".
// Databases list files by either name.
type topLinkTable []struct{ from, to string }

func topLinks(configs []seawall.ConfigFact) topLinkTable {
	var links topLinkTable
	for i := range configs {
		if c := &configs[i]; c.Kind == linkConfig && c.Data["target"] != c.Path {
			links = append(links, struct{ from, to string }{c.Path + "/", c.Data["target"] + "/"})
		}
	}
	// Links at the top come first: sbin -> usr/sbin, then usr/sbin -> usr/bin.
	slices.SortFunc(links, func(a, b struct{ from, to string }) int {
		return strings.Count(a.from, "/") - strings.Count(b.from, "/")
	})
	return links
}

// follow returns the path with its leading links followed.
func (links topLinkTable) follow(file string) string {
	for _, l := range links {
		if strings.HasPrefix(file, l.from) {
			file = l.to + file[len(l.from):]
		}
	}
	return file
}
