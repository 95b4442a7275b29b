package composer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const lock = `{
    "packages": [
        {
            "name": "Symfony/yaml",
            "version": "v5.4.3",
            "source": {"type": "git", "name": "inner"},
            "license": ["MIT"]
        },
        {"name": "o/branch", "version": "dev-main"},
        {"name": "o/alias", "version": "2.x-dev"}
    ],
    "packages-dev": [
        {"name": "phpunit/phpunit", "version": "9.5.0"}
    ],
    "aliases": []
}`

const installed2 = `{
    "packages": [
        {"name": "symfony/yaml", "version": "v5.4.3"},
        {"name": "phpunit/phpunit", "version": "9.5.0"}
    ],
    "dev": true,
    "dev-package-names": ["phpunit/phpunit"]
}`

const installed1 = `[
    {"name": "symfony/yaml", "version": "v5.4.3"}
]`

func TestLock(t *testing.T) {
	want := []string{"symfony/yaml v5.4.3 :3", "phpunit/phpunit 9.5.0 :13 dev"}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, Lock(), true, "composer.lock", lock)); diff != "" {
		t.Error(diff)
	}
	p := langpkgtest.Packages(t, Lock(), "composer.lock", lock)[0]
	if p.PURL != "pkg:composer/symfony/yaml@v5.4.3" || len(p.Licenses) != 1 {
		t.Errorf("got %+v", p)
	}
}

func TestInstalled(t *testing.T) {
	for text, want := range map[string][]string{
		installed2: {"symfony/yaml v5.4.3 :3", "phpunit/phpunit 9.5.0 :4 dev"},
		installed1: {"symfony/yaml v5.4.3 :2"},
	} {
		if diff := cmp.Diff(want, langpkgtest.Rows(t, Installed(), false, "app/vendor/composer/installed.json", text)); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "composer.lock", lock) }

func FuzzInstalled(f *testing.F) {
	langpkgtest.Fuzz(f, Installed(), "vendor/composer/installed.json", installed1, installed2)
}
