package java

import (
	"bytes"
	"cmp"
	"strings"
)

// identified is one piece of software an archive holds. Without a group it is
// known by its file's name only.
type identified struct {
	group, artifact, version string
	licenses                 []string
}

func (d identified) name() string {
	if d.group == "" {
		return d.artifact
	}
	return d.group + ":" + d.artifact
}

// identity gathers what an archive says about itself.
type identity struct {
	file       string // base name of the archive
	classes    bool   // holds code
	manifest   map[string]string
	properties []identified
	poms       []identified // group and artifact of pom.xml paths
}

// readProperties takes a pom.properties file as Maven writes it.
func (id *identity) readProperties(text []byte) {
	var d identified
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "groupId":
			d.group = value
		case "artifactId":
			d.artifact = value
		case "version":
			d.version = value
		}
	}
	if d.group != "" && d.artifact != "" && d.version != "" && !strings.Contains(d.group+d.artifact+d.version, "${") {
		id.properties = append(id.properties, d)
	}
}

// pomPath takes META-INF/maven/GROUP/ARTIFACT/pom.xml.
func (id *identity) pomPath(name string) {
	if parts := strings.Split(name, "/"); len(parts) == 5 {
		id.poms = append(id.poms, identified{group: parts[2], artifact: parts[3]})
	}
}

// readManifest takes the main section of a manifest (JAR File Specification,
// "Manifest Specification"): "Name: value" lines, continued by a leading blank.
func (id *identity) readManifest(text []byte) {
	if id.manifest != nil {
		return
	}
	id.manifest = make(map[string]string)
	var key string
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return
		}
		if line[0] == ' ' {
			if key != "" {
				id.manifest[key] += string(line[1:])
			}
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if key = ""; !ok {
			continue
		}
		switch name = strings.ToLower(name); name {
		case "implementation-title", "implementation-version", "implementation-vendor-id", "specification-title", "specification-version",
			"bundle-symbolicname", "bundle-version", "bundle-license", "automatic-module-name", "short-name", "plugin-version", "group-id", "extension-name":
			key = name
			id.manifest[key] = strings.TrimPrefix(value, " ")
		}
	}
}

// packages judges what was gathered.
func (id *identity) packages() []identified {
	if len(id.properties) > 0 {
		if len(id.properties) == 1 {
			id.properties[0].licenses = id.licenses()
		}
		return id.properties
	}
	artifact, version := fileVersion(id.file)
	if version == "" {
		version = id.statedVersion()
	}
	d := identified{artifact: artifact, version: version, licenses: id.licenses()}
	title := id.manifest["implementation-title"]
	switch {
	case len(id.poms) == 1:
		d.group, d.artifact = id.poms[0].group, id.poms[0].artifact
	case id.manifest["short-name"] != "" && id.manifest["group-id"] != "": // a Jenkins plugin
		d.group, d.artifact, d.version = id.manifest["group-id"], id.manifest["short-name"], cmp.Or(id.manifest["plugin-version"], version)
	case title == "Apache Tomcat" && !strings.HasPrefix(artifact, "tomcat"):
		// The server's own directory has the artifacts under their short names.
		d.group, d.artifact = "org.apache.tomcat", "tomcat-"+artifact
	case knownGroup(artifact) == "" && knownGroup(title) != "":
		d.group, d.artifact = knownGroup(title), title // distributions rename files
	default:
		d.group = id.group(artifact)
	}
	if d.artifact == "" || d.version == "" && !id.classes {
		return nil // nothing says that this is software of its own
	}
	if d.version == "" {
		d.group = "" // nothing to match
	}
	return []identified{d}
}

// statedVersion is the manifest's word on the version.
func (id *identity) statedVersion() string {
	for _, key := range [...]string{"implementation-version", "bundle-version", "plugin-version", "specification-version"} {
		// Some write "1.2.3 (build 4)" or "1.2.3 2020-01-01".
		v, _, _ := strings.Cut(strings.TrimSpace(id.manifest[key]), " ")
		if isVersion(v) {
			return v
		}
	}
	return ""
}

// group finds the group id of an artifact known by its file's name.
func (id *identity) group(artifact string) string {
	if g := knownGroup(artifact); g != "" {
		return g
	}
	if v := id.manifest["implementation-vendor-id"]; groupLike(v) {
		return v
	}
	// OSGi names are often group.artifact; they count only where the file's name agrees.
	symbolic, _, _ := strings.Cut(id.manifest["bundle-symbolicname"], ";")
	for _, name := range [...]string{strings.TrimSpace(symbolic), strings.TrimSpace(id.manifest["automatic-module-name"])} {
		i := strings.LastIndexByte(name, '.')
		if i > 0 && strings.EqualFold(name[i+1:], artifact) && groupLike(name[:i]) {
			return name[:i]
		}
		if strings.EqualFold(name, artifact) && groupLike(name) {
			return name[:strings.LastIndexByte(name, '.')]
		}
	}
	return ""
}

// groupLike reports whether s is written like a group id: dotted lower-case words.
func groupLike(s string) bool {
	if !strings.Contains(s, ".") {
		return false
	}
	for _, word := range strings.Split(s, ".") {
		if word == "" {
			return false
		}
		for i := range len(word) {
			c := word[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func (id *identity) licenses() []string {
	l, _, _ := strings.Cut(id.manifest["bundle-license"], ";")
	if l = strings.TrimSpace(l); l == "" || len(l) > 256 {
		return nil
	}
	return []string{l}
}

// fileVersion splits "log4j-core-2.14.1.jar" into artifact and version. A
// classifier behind the version ("-sources", "-linux-x86_64") is dropped; in
// "log4j-1.2-api-2.14.1.jar" the first number belongs to the name.
func fileVersion(base string) (artifact, version string) {
	stem := base[:len(base)-min(len(base), len(".jar"))]
	artifact = stem
	for i := 1; i < len(stem)-1; i++ {
		if stem[i] != '-' || stem[i+1] < '0' || stem[i+1] > '9' {
			continue
		}
		v := withoutClassifier(stem[i+1:])
		if isVersion(v) && (version == "" || strings.Contains(v, ".")) {
			artifact, version = stem[:i], v
		}
		i += len(v)
	}
	return artifact, version
}

// withoutClassifier keeps the parts of a version: numbers and the words that mark a release.
func withoutClassifier(v string) string {
	for i := 0; i < len(v); i++ {
		if v[i] != '-' && v[i] != '_' {
			continue
		}
		word := v[i+1:]
		if end := strings.IndexAny(word, "-_"); end >= 0 {
			word = word[:end]
		}
		if !versionWord(strings.ToLower(word)) {
			return v[:i]
		}
	}
	return v
}

// versionWord reports whether a part of a version belongs to it.
func versionWord(w string) bool {
	if w == "" {
		return false
	}
	if '0' <= w[0] && w[0] <= '9' {
		return true
	}
	switch strings.TrimRight(w, "0123456789.") {
	case "alpha", "beta", "rc", "m", "cr", "sp", "b", "snapshot", "final", "ga", "release", "jre", "android", "incubating", "preview", "pre", "ea", "build", "redhat", "jdk", "java", "v", "r", "h", "hotfix", "patch":
		return true
	}
	return false
}

// isVersion reports whether s starts with a number and is a version: digits,
// then dotted words; "3.x" is none.
func isVersion(s string) bool {
	if s == "" || s[0] < '0' || s[0] > '9' || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(".-_+~", c) >= 0) {
			return false
		}
	}
	return !strings.HasSuffix(s, ".x")
}
