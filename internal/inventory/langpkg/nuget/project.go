package nuget

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// PackagesConfig collects packages.config.
func PackagesConfig() inventory.Collector {
	return &langpkg.Format{
		ID: "language/nuget-config", Rev: 1, Wanted: true,
		Match: langpkg.Named("packages.config"),
		Parse: func(data []byte, out *langpkg.List) error {
			return langpkg.XML(data, func(e *langpkg.Element) {
				if e.Path != "packages/package" {
					return
				}
				if version, ok := exact(e.Attr("version")); ok {
					out.Declared(langpkg.NuGet(), langpkg.Dependency{
						Name: e.Attr("id"), Version: version, Line: e.Line,
						Dev: strings.EqualFold(e.Attr("developmentDependency"), "true"),
					})
				}
			})
		},
	}
}

// Project collects project files and Directory.Packages.props, where central
// package management keeps the versions.
func Project() inventory.Collector {
	return &langpkg.Format{ID: "language/nuget-project", Rev: 1, Wanted: true, Parse: parseProject, Match: func(p string) bool {
		return strings.HasSuffix(p, "Directory.Packages.props") || strings.HasSuffix(p, ".csproj") ||
			strings.HasSuffix(p, ".fsproj") || strings.HasSuffix(p, ".vbproj")
	}}
}

func parseProject(data []byte, out *langpkg.List) error {
	properties := map[string]string{}
	var references []langpkg.Dependency
	var inner string // a version given as a child element
	err := langpkg.XML(data, func(e *langpkg.Element) {
		rest, _ := strings.CutPrefix(e.Path, "Project/")
		switch {
		case strings.HasPrefix(rest, "PropertyGroup/"):
			properties[strings.ToLower(langpkg.Base(rest))] = e.Text
		case strings.HasSuffix(rest, "/Version"):
			inner = e.Text
		case rest == "ItemGroup/PackageReference", rest == "ItemGroup/PackageVersion", rest == "ItemGroup/GlobalPackageReference":
			version := e.Attr("Version")
			if override := e.Attr("VersionOverride"); override != "" {
				version = override
			}
			if version == "" {
				version = inner
			}
			inner = ""
			references = append(references, langpkg.Dependency{
				Name: e.Attr("Include"), Version: version, Line: e.Line,
				Dev: strings.EqualFold(e.Attr("PrivateAssets"), "all"),
			})
		}
	})
	for _, d := range references {
		if name, ok := strings.CutPrefix(d.Version, "$("); ok {
			d.Version = properties[strings.ToLower(strings.TrimSuffix(name, ")"))]
		}
		if version, ok := exact(d.Version); ok {
			d.Version = version
			out.Declared(langpkg.NuGet(), d)
		}
	}
	return err
}

// exact returns the version that NuGet installs for a version range if there is
// but one: "1.2.3", which is the lowest allowed and therefore chosen, and "[1.2.3]".
// https://learn.microsoft.com/nuget/concepts/package-versioning
func exact(version string) (string, bool) {
	if inner, ok := strings.CutPrefix(version, "["); ok {
		if version, ok = strings.CutSuffix(inner, "]"); !ok {
			return "", false
		}
	}
	return version, version != "" && !strings.ContainsAny(version, "*,[]()$ ")
}
