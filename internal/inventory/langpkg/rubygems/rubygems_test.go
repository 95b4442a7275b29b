package rubygems

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const gemspec = `# -*- encoding: utf-8 -*-
# stub: nokogiri 1.13.10 ruby lib

Gem::Specification.new do |s|
  s.name = "nokogiri".freeze
  s.version = "1.13.10"
  s.platform = "x86_64-linux".freeze

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze)
  s.metadata = { "bug_tracker_uri" => "https://example.invalid", "name" => "other" }
  s.licenses = ["MIT".freeze, "Apache-2.0".freeze]
  s.add_runtime_dependency(%q<racc>.freeze, ["~> 1.4"])
end
`

const lock = `GIT
  remote: https://github.com/o/fork.git
  revision: 0123
  specs:
    fork (1.0.0)

PATH
  remote: .
  specs:
    app (0.1.0)

GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.13.10)
      racc (~> 1.4)
    nokogiri (1.13.10-x86_64-linux)
    racc (1.6.2)
    rails (7.0.4.rc1)

PLATFORMS
  ruby

DEPENDENCIES
  nokogiri

BUNDLED WITH
   2.4.1
`

func TestInstalled(t *testing.T) {
	const path = "usr/local/bundle/specifications/nokogiri-1.13.10-x86_64-linux.gemspec"
	if diff := cmp.Diff([]string{"nokogiri 1.13.10 :0"}, langpkgtest.Rows(t, Installed(), false, path, gemspec)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"MIT", "Apache-2.0"}, langpkgtest.Packages(t, Installed(), path, gemspec)[0].Licenses); diff != "" {
		t.Error(diff)
	}
	old := "Gem::Specification.new do |spec|\n  spec.name = %q{rake}\n  spec.version = Gem::Version.new('0.8.7')\nend\n"
	if diff := cmp.Diff([]string{"rake 0.8.7 :0"}, langpkgtest.Rows(t, Installed(), false, path, old)); diff != "" {
		t.Error(diff)
	}
	if Installed().Wants("app/app.gemspec", nil) {
		t.Error("wants a project's own specification")
	}
}

func TestLock(t *testing.T) {
	want := []string{"nokogiri 1.13.10 :15", "racc 1.6.2 :18", "rails 7.0.4.rc1 :19"}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, Lock(), true, "Gemfile.lock", lock)); diff != "" {
		t.Error(diff)
	}
}

func FuzzInstalled(f *testing.F) {
	langpkgtest.Fuzz(f, Installed(), "specifications/a.gemspec", gemspec)
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "Gemfile.lock", lock) }
