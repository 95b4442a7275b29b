package npm

import (
	"bytes"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Script collects JavaScript libraries shipped as plain files outside
// node_modules. The name of a known library in the file name starts it; the
// version is taken from the banner comment if the file has one, else from the
// file name: jquery-3.4.1.min.js, or jquery.min.js with "jQuery v3.4.1" at its top.
func Script() inventory.Collector {
	return &langpkg.Format{ID: "language/javascript-file", Rev: 1, Match: isScript, Parse: parseScript}
}

// library is a library known by its file name.
type library struct {
	// file is the start of the file name, up to the version or extension.
	file string
	// npm is the name its advisories go by: of the npm package, else RetireJS's.
	npm string
	// banner is what stands before the version in the comment at the top,
	// lower case; "" when the library has none that can be told apart.
	banner string
}

// find returns the library that a file name belongs to and the rest of the
// name, without ".js" and the marks of a build.
func find(base string) (lib library, rest string, ok bool) {
	stem, isJS := strings.CutSuffix(base, ".js")
	if !isJS {
		return lib, "", false
	}
	for _, l := range libraries {
		rest, ok := strings.CutPrefix(stem, l.file)
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '-') {
			return l, rest, true
		}
	}
	return lib, "", false
}

// libraries is ordered so that a longer name comes before its beginning.
var libraries = [...]library{
	{"jquery-migrate", "jquery-migrate", "jquery migrate"},
	{"jquery.validate", "jquery-validation", "jquery validation plugin"},
	{"jquery.mobile", "jquery-mobile", "jquery mobile"},
	{"jquery-ui", "jquery-ui", "jquery ui"},
	{"jquery.dataTables", "datatables.net", "datatables"},
	{"dataTables", "datatables.net", "datatables"},
	{"jquery.slim", "jquery", "jquery"},
	{"jquery", "jquery", "jquery"},
	{"angular", "angular", "angularjs"},
	{"bootstrap-select", "bootstrap-select", "bootstrap-select"},
	{"bootstrap.bundle", "bootstrap", "bootstrap"},
	{"bootstrap", "bootstrap", "bootstrap"},
	{"handlebars.runtime", "handlebars", "handlebars"},
	{"handlebars", "handlebars", "handlebars"},
	{"mustache", "mustache", ""},
	{"backbone", "backbone", "backbone.js"},
	{"underscore", "underscore", "underscore.js"},
	{"lodash", "lodash", "lodash"},
	{"moment", "moment", "moment.js"},
	{"ember", "ember", "version:"},
	{"knockout", "knockout", "knockout javascript library"},
	{"vue", "vue", "vue.js"},
	{"react-dom", "react-dom", "react-dom"},
	{"react", "react", "react"},
	{"axios", "axios", "axios"},
	{"purify", "dompurify", "dompurify"},
	{"marked", "marked", "marked"},
	{"markdown-it", "markdown-it", "markdown-it"},
	{"highlight", "highlight.js", "highlight.js"},
	{"highcharts", "highcharts", "highcharts js"},
	{"Chart", "chart.js", "chart.js"},
	{"chart", "chart.js", "chart.js"},
	{"c3", "c3", ""},
	{"d3", "d3", "d3js.org"},
	{"echarts", "echarts", ""},
	{"select2", "select2", "select2"},
	{"ckeditor5", "ckeditor5", ""},
	{"ckeditor", "ckeditor", ""},
	{"tinymce", "tinymce", "version:"},
	{"quill", "quill", "quill editor"},
	{"swiper", "swiper", "swiper"},
	{"three", "three", ""},
	{"video", "video.js", "video.js"},
	{"pdfobject", "pdfobject", "pdfobject"},
	{"pdf", "pdfjs-dist", ""},
	{"jszip", "jszip", "jszip"},
	{"ua-parser", "ua-parser-js", "uaparser.js"},
	{"mootools", "mootools", ""},
	{"dojo", "dojo", ""},
	{"prototype", "prototypejs", "prototype javascript framework, version"},
	{"require", "requirejs", "requirejs"},
	{"socket.io", "socket.io-client", "socket.io"},
	{"svelte", "svelte", ""},
	{"plupload", "plupload", ""},
	{"easyXDM", "easyxdm", ""},
	{"zrender", "zrender", ""},
	{"alasql", "alasql", "alasql"},
	{"froala_editor", "froala-editor", "froala_editor"},
	{"protobuf", "protobufjs", "protobuf.js"},
	{"ext-all", "extjs", "ext js library"},
}

func isScript(p string) bool {
	if !strings.HasSuffix(p, ".js") || strings.Contains(p, "node_modules/") || strings.HasPrefix(p, "usr/share/nodejs/") {
		return false
	}
	_, _, ok := find(langpkg.Base(p))
	return ok
}

func parseScript(data []byte, out *langpkg.List) error {
	lib, rest, _ := find(langpkg.Base(out.Path))
	version := ""
	if lib.banner != "" {
		version = bannerVersion(data, lib.banner)
	}
	named, onlyVersion := nameVersion(rest)
	if version == "" {
		version = named
	}
	// "bootstrap-datepicker.js" is another library: what follows the name must
	// be a version or the mark of a build.
	if onlyVersion && version != "" {
		out.Installed(langpkg.NPM(), langpkg.Dependency{Name: lib.npm, Version: version})
	}
	return nil
}

// nameVersion reads what follows a library's name: "-3.4.1.slim.min" is 3.4.1.
// ok is false when it holds any word that is not the mark of a build.
func nameVersion(rest string) (version string, ok bool) {
	rest = strings.TrimLeft(rest, ".-")
	if n := versionLength(rest); n > 0 {
		version, rest = rest[:n], strings.TrimLeft(rest[n:], ".-")
	}
	for rest != "" {
		word := rest
		if i := strings.IndexAny(rest, ".-"); i >= 0 {
			word, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		switch word {
		case "min", "slim", "prod", "production", "debug", "dev", "development", "full", "compat",
			"umd", "cjs", "esm", "global", "browser", "bundle", "pack", "all", "latest":
		default:
			if strings.TrimRight(word, "0123456789") != "v" { // d3.v4.min.js
				return "", false
			}
		}
	}
	return version, true
}

// versionLength returns how much of s is a version of two to four numbers with
// an optional pre-release ("-rc.1", "-beta2"): 0 for none.
func versionLength(s string) int {
	end, numbers := 0, 0
	for i := 0; i < len(s) && numbers < 4; {
		digits := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		if i == digits || i-digits > 9 {
			break
		}
		numbers++
		end = i
		if i == len(s) || s[i] != '.' {
			break
		}
		i++
	}
	if numbers < 2 {
		return 0
	}
	for _, mark := range []string{"-alpha", "-beta", "-rc"} {
		if strings.HasPrefix(s[end:], mark) {
			end += len(mark)
			for end < len(s) && ('0' <= s[end] && s[end] <= '9' || s[end] == '.' && end+1 < len(s) && '0' <= s[end+1] && s[end+1] <= '9') {
				end++
			}
		}
	}
	return end
}

// bannerVersion looks for the version after the library's name at the start of a
// comment near the top: "/*! jQuery v3.4.1 | …", " * Bootstrap v4.1.3 (…".
func bannerVersion(data []byte, banner string) string {
	head := bytes.ToLower(data[:min(len(data), 2048)])
	for {
		i := bytes.Index(head, []byte(banner))
		if i < 0 {
			return ""
		}
		before := bytes.TrimRight(head[:i], " \t\r\n")
		before = bytes.TrimRight(bytes.TrimSuffix(before, []byte("@license")), " \t\r\n")
		head = head[i+len(banner):]
		if !bytes.HasSuffix(before, []byte("*")) && !bytes.HasSuffix(before, []byte("/")) && !bytes.HasSuffix(before, []byte("*!")) {
			continue
		}
		rest := string(head[:min(len(head), 64)])
		for _, filler := range []string{" javascript library", " - v", " version", ":", " ", "v", "@", "/", " "} {
			rest = strings.TrimPrefix(rest, filler)
		}
		if n := versionLength(rest); n > 0 {
			return rest[:n]
		}
	}
}
