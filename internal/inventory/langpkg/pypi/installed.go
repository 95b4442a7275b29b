package pypi

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Installed collects the core metadata of installed distributions:
// X.dist-info/METADATA, X.egg-info/PKG-INFO, EGG-INFO/PKG-INFO and the file X.egg-info.
// https://packaging.python.org/en/latest/specifications/core-metadata/
func Installed() inventory.Collector {
	return &langpkg.Format{ID: "language/pypi-installed", Rev: 1, Match: isMetadata, Parse: parseMetadata}
}

func isMetadata(p string) bool {
	return strings.HasSuffix(p, ".dist-info/METADATA") ||
		strings.HasSuffix(p, ".egg-info/PKG-INFO") ||
		strings.HasSuffix(p, "EGG-INFO/PKG-INFO") ||
		strings.HasSuffix(p, ".egg-info")
}

// is compares the names of header fields, whose case does not matter.
func is(name []byte, field string) bool { return bytes.EqualFold(name, []byte(field)) }

const licenseClassifier = "License :: OSI Approved :: "

func parseMetadata(data []byte, out *langpkg.List) error {
	var d langpkg.Dependency
	var text, expression string
	var classifiers []string
	langpkg.Paragraph(data, func(name, value []byte) {
		switch {
		case is(name, "name") && d.Name == "":
			d.Name = string(value)
		case is(name, "version") && d.Version == "":
			d.Version = string(value)
		case is(name, "license-expression"):
			expression = string(value)
		case is(name, "license"):
			if len(value) <= 100 { // some paste the whole text here
				text = string(value)
			}
		case is(name, "classifier"):
			if len(value) > len(licenseClassifier) && string(value[:len(licenseClassifier)]) == licenseClassifier {
				classifiers = append(classifiers, string(value[len(licenseClassifier):]))
			}
		}
	})
	if d.Name == "" || d.Version == "" {
		return fmt.Errorf("%w: no Name and Version in the metadata", seawall.ErrCorrupt)
	}
	switch { // the field that says it best
	case expression != "":
		d.Licenses = []string{expression}
	case text != "" && text != "UNKNOWN":
		d.Licenses = []string{text}
	default:
		d.Licenses = classifiers
	}
	out.Installed(langpkg.PyPI(), d)
	return nil
}
