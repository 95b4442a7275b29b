package langpkg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Element is an XML element at its end.
type Element struct {
	// Path is the local names from the root down, joined by "/".
	Path string
	// Text is the character data directly inside, trimmed.
	Text string
	// Line is where the element starts.
	Line int
	attr []xml.Attr
}

// Attr returns an attribute by its local name, "" when it is not there.
func (e *Element) Attr(name string) string {
	for _, a := range e.attr {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// maxPath bounds Element.Path: what is open at once is kept.
const maxPath = 4096

// XML calls visit at the end of each element, inner ones first. It knows no
// entities but XML's own and reads ASCII, Latin-1 and UTF-8.
func XML(data []byte, visit func(e *Element)) error {
	if err := CheckTree(data); err != nil {
		return err
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = charset
	type open struct {
		Element
		text []byte
	}
	var stack []open
	root := false
	for {
		line, _ := d.InputPos()
		token, err := d.Token()
		if root && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", seawall.ErrCorrupt, strings.TrimPrefix(err.Error(), "XML syntax error on "))
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) == MaxDepth {
				return fmt.Errorf("line %d: %w: nested deeper than %d", line, seawall.ErrBound, MaxDepth)
			}
			root = true
			path := t.Name.Local
			if n := len(stack); n > 0 {
				path = stack[n-1].Path + "/" + path
			}
			if len(path) > maxPath {
				return fmt.Errorf("line %d: %w: element names longer than %d bytes", line, seawall.ErrBound, maxPath)
			}
			stack = append(stack, open{Element: Element{Path: path, Line: line, attr: t.Copy().Attr}})
		case xml.CharData:
			if n := len(stack); n > 0 {
				stack[n-1].text = append(stack[n-1].text, t...)
			}
		case xml.EndElement:
			n := len(stack) - 1
			e := &stack[n]
			e.Text = string(bytes.TrimSpace(e.text))
			visit(&e.Element)
			stack = stack[:n]
		}
	}
}

// charset reads the encodings found in old project files.
func charset(label string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "us-ascii", "ascii":
		return input, nil
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		data, err := io.ReadAll(input)
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		return strings.NewReader(string(runes)), err
	}
	return nil, fmt.Errorf("encoding %q is not known", label)
}
