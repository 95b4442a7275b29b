package nuget

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const deps = `{
  "runtimeTarget": { "name": ".NETCoreApp,Version=v8.0/linux-x64" },
  "targets": { ".NETCoreApp,Version=v8.0": { "Newtonsoft.Json/12.0.3": { "type": "package" } } },
  "libraries": {
    "app/1.0.0": { "type": "project", "serviceable": false },
    "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1": { "type": "runtimepack" },
    "Newtonsoft.Json/12.0.3": {
      "type": "package",
      "serviceable": true
    }
  }
}`

const lock = `{
  "version": 1,
  "dependencies": {
    "net6.0": {
      "Newtonsoft.Json": {
        "type": "Direct",
        "requested": "[12.0.3, )",
        "resolved": "12.0.3"
      },
      "Other.Project": { "type": "Project" }
    },
    "net8.0": {
      "Newtonsoft.Json": { "type": "Direct", "resolved": "12.0.3" },
      "Deep": { "type": "Transitive", "resolved": "4.0.0" }
    }
  }
}`

const config = `<?xml version="1.0" encoding="iso-8859-1"?>
<packages>
  <package id="jQuery" version="3.4.1" targetFramework="net48" />
  <package id="StyleCop" version="1.1.0" developmentDependency="true" />
</packages>`

const project = "\xef\xbb\xbf" + `<Project>
  <PropertyGroup>
    <JsonVersion>13.0.1</JsonVersion>
  </PropertyGroup>
  <ItemGroup>
    <PackageVersion Include="Newtonsoft.Json" Version="$(JsonVersion)" />
    <PackageVersion Include="Exact" Version="[1.2.3]" />
    <PackageVersion Include="Range" Version="[1.0,2.0)" />
    <PackageVersion Include="Floating" Version="1.*" />
    <PackageVersion Include="Unknown" Version="$(Elsewhere)" />
    <PackageReference Include="Managed" />
    <PackageReference Include="Child"><Version>2.0.0</Version></PackageReference>
    <GlobalPackageReference Include="Analyzer" Version="4.0.0" PrivateAssets="all" />
  </ItemGroup>
</Project>`

func TestFormats(t *testing.T) {
	tests := []struct {
		c        inventory.Collector
		declared bool
		path     string
		text     string
		want     []string
	}{
		{DepsJSON(), false, "app/app.deps.json", deps, []string{"Microsoft.NETCore.App.Runtime.linux-x64 8.0.1 :6", "Newtonsoft.Json 12.0.3 :7"}},
		{Assets(), true, "obj/project.assets.json", deps, []string{"Microsoft.NETCore.App.Runtime.linux-x64 8.0.1 :6", "Newtonsoft.Json 12.0.3 :7"}},
		{Lock(), true, "packages.lock.json", lock, []string{"Newtonsoft.Json 12.0.3 :5", "Deep 4.0.0 :14"}},
		{PackagesConfig(), true, "packages.config", config, []string{"jQuery 3.4.1 :3", "StyleCop 1.1.0 :4 dev"}},
		{Project(), true, "Directory.Packages.props", project, []string{"Newtonsoft.Json 13.0.1 :6", "Exact 1.2.3 :7", "Child 2.0.0 :12", "Analyzer 4.0.0 :13 dev"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, langpkgtest.Rows(t, tt.c, tt.declared, tt.path, tt.text)); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
}

func FuzzDepsJSON(f *testing.F) { langpkgtest.Fuzz(f, DepsJSON(), "a.deps.json", deps) }

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "packages.lock.json", lock) }

func FuzzPackagesConfig(f *testing.F) {
	langpkgtest.Fuzz(f, PackagesConfig(), "packages.config", config)
}

func FuzzProject(f *testing.F) { langpkgtest.Fuzz(f, Project(), "a.csproj", project) }
