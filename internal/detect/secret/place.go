package secret

import (
	"path"
	"strings"
)

// place is what a file's path says about the meaning of its content.
type place struct {
	path string // lower case
	base string
	// code: unquoted values are names of a program, not secrets.
	code bool
	// foreign: code of others, test data, lists of hashes or documentation. What
	// only looks like a secret there is none.
	foreign bool
	// fixture: test data. Only tokens that prove themselves by a checksum count.
	fixture bool
	// library: code of others, where keys are test data too. So are those compiled
	// into Java classes: Netty's are in every server.
	library bool
}

func placeOf(p string) place {
	lower := strings.ToLower(p)
	pl := place{path: lower, base: path.Base(lower)}
	ext := path.Ext(pl.base)
	switch ext {
	case ".go", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".py", ".rb", ".php", ".java", ".kt", ".scala", ".groovy", ".cs", ".c", ".h", ".cc", ".cpp",
		".rs", ".swift", ".m", ".pl", ".pm", ".lua", ".vue", ".svelte", ".html", ".htm", ".css", ".scss", ".dart", ".ex", ".exs", ".erl", ".clj", ".hs", ".r", ".sql", ".md", ".rst", ".adoc", ".txt", ".tf", ".proto":
		pl.code = true
	}
	slashed := "/" + lower
	pl.fixture = containsAny(slashed, fixtureDirs) || isTestFile(pl.base)
	pl.library = pl.fixture || ext == ".class" || containsAny(slashed, libraryDirs)
	pl.foreign = pl.fixture || !strings.HasPrefix(pl.base, ".env") && (pl.library || containsAny(slashed, systemDirs)) || isHashList(pl.base) ||
		strings.HasSuffix(pl.base, ".min.js") || strings.HasSuffix(pl.base, ".min.css") || strings.HasSuffix(pl.base, ".bundle.js")
	return pl
}

var (
	fixtureDirs = []string{"/test/", "/tests/", "/testdata/", "/testing/", "/__tests__/", "/__mocks__/", "/fixtures/", "/fixture/", "/spec/", "/specs/", "/mocks/", "/examples/", "/example/"}
	libraryDirs = []string{
		"/node_modules/", "/vendor/", "/site-packages/", "/dist-packages/", "/go/pkg/mod/", "/go/src/", "/gems/", "/.cargo/registry/", "/bower_components/", "/lib/python", "/.m2/",
	}
	systemDirs = []string{
		"/usr/share/", "/usr/lib/", "/usr/lib64/", "/usr/include/", "/usr/libexec/", "/usr/local/go/", "/var/lib/dpkg/", "/usr/bin/", "/usr/sbin/",
	}
)

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func isTestFile(base string) bool {
	name := strings.TrimSuffix(base, path.Ext(base))
	return strings.HasSuffix(name, "_test") || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".spec") || strings.HasPrefix(base, "test_") || strings.HasSuffix(name, "_spec")
}

// isHashList says whether a file is a list of digests: lock files and checksums.
func isHashList(base string) bool {
	switch base {
	case "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "go.sum", "go.work.sum", "cargo.lock", "poetry.lock", "pdm.lock", "uv.lock", "pipfile.lock",
		"composer.lock", "gemfile.lock", "podfile.lock", "mix.lock", "packages.lock.json", "gradle.lockfile", "flake.lock", "bun.lock", "pubspec.lock", ".terraform.lock.hcl", "record", "sha256sums", "md5sums":
		return true
	}
	return strings.HasSuffix(base, ".md5sums") || strings.HasSuffix(base, ".sha256") || strings.HasSuffix(base, ".sum")
}

// skipped says whether a file is of a kind that holds no text of its own:
// pictures, sound, fonts, compiled code and the maps of generated sources.
func skipped(p string) bool {
	dot := strings.LastIndexByte(p, '.')
	if dot < 0 || len(p)-dot > 7 {
		return false
	}
	switch p[dot+1:] {
	case "png", "jpg", "jpeg", "gif", "ico", "webp", "bmp", "tiff", "psd", "avif", "svg",
		"mp3", "mp4", "m4a", "ogg", "wav", "flac", "avi", "mov", "mkv", "webm",
		"ttf", "otf", "woff", "woff2", "eot", "pfb", "afm",
		"map", "pyc", "pyo", "mo", "gmo", "po", "pot", "o", "a", "elc", "wasm", "dic", "aff", "hyb",
		"xz", "bz2", "zst", "7z", "rar", "br", "lz4", "deb", "rpm", "apk", "squashfs", "iso", "img", "qcow2",
		"pdf", "doc", "xls", "ppt", "swf", "pak", "dat", "idx", "pack":
		return true
	}
	return false
}
