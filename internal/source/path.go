package source

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// CleanPath makes a stored name an Entry.Path: relative to the root, clean,
// valid for fs.ValidPath. ".." stops at the root, as in a container. The root
// itself is ".".
//
// A byte that is not valid UTF-8 becomes the four characters \xNN, so that two
// different names stay different.
func CleanPath(name string) string {
	short := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if fs.ValidPath(short) {
		return short
	}
	if !utf8.ValidString(name) {
		name = escapeInvalid(name)
	}
	if name = path.Clean("/" + name)[1:]; name == "" {
		return "."
	}
	return name
}

// escapeInvalid writes each byte that is not valid UTF-8 as \xNN.
func escapeInvalid(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 {
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(name[i]), 16))
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

// CleanName makes one element of a path valid in the same way.
func CleanName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return escapeInvalid(name)
}
