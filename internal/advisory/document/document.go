// Package document reads the two structured forms advisories come in, JSON and
// YAML: it looks at a file's first bytes for the keys that tell formats apart,
// reads one bounded document, and holds the loosely typed values real feeds
// contain (a word where a list was meant, a number where a word was).
//
// Data flows: an importer's Recognizes asks Keys about the head; its Import
// calls Decode, which bounds, parses and names the place of any damage.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

// MaxSize is the bound of an ordinary document, in bytes.
const MaxSize = 16 << 20

// ReadAll reads r to its end; more than limit bytes is seawall.ErrBound.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("document of more than %d bytes: %w", limit, seawall.ErrBound)
	}
	return b.Bytes(), nil
}

// Decode reads one document of at most limit bytes into v: JSON when it starts
// with "{" or "[", else YAML. Damage is seawall.ErrCorrupt with the line.
func Decode(r io.Reader, limit int64, v any) error {
	data, err := ReadAll(r, limit)
	if err != nil {
		return err
	}
	data = trimBOM(data)
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return fmt.Errorf("empty document: %w", seawall.ErrCorrupt)
	case IsJSON(data):
		return decodeJSON(data, v)
	}
	if err := yaml.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return nil
}

func decodeJSON(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w: %w", lineAt(data, syntax.Offset), seawall.ErrCorrupt, err)
	case errors.As(err, &kind):
		return fmt.Errorf("line %d, field %s: %w: %w", lineAt(data, kind.Offset), kind.Field, seawall.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte{'\n'})
}

func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// IsJSON says whether the first character opens a JSON object or list.
func IsJSON(head []byte) bool {
	head = bytes.TrimLeft(trimBOM(head), " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// Keys yields the top-level keys of the JSON object or YAML mapping whose first
// bytes head is, in order, as far as head reaches. It judges nothing: of a file
// in another format it yields nothing or nonsense.
func Keys(head []byte) iter.Seq[string] {
	head = trimBOM(head)
	if IsJSON(head) {
		return jsonKeys(head)
	}
	return yamlKeys(head)
}

// Has says whether head has all the top-level keys.
func Has(head []byte, keys ...string) bool {
	missing := len(keys)
	for key := range Keys(head) {
		for _, want := range keys {
			if key == want {
				missing--
			}
		}
		if missing <= 0 {
			return true
		}
	}
	return false
}

// jsonKeys tracks nesting by brackets outside strings; a key is a string
// directly in the outer object that is not a value.
func jsonKeys(head []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		depth, wantKey := 0, false
		for i := 0; i < len(head); i++ {
			switch head[i] {
			case '{', '[':
				depth++
				wantKey = depth == 1 && head[i] == '{'
			case '}', ']':
				depth--
				if depth <= 0 {
					return
				}
			case ',':
				wantKey = depth == 1
			case '"':
				end := stringEnd(head, i+1)
				if end < 0 {
					return
				}
				if wantKey && depth == 1 {
					wantKey = false
					if !yield(string(head[i+1 : end])) {
						return
					}
				}
				i = end
			}
		}
	}
}

// stringEnd returns the index of the quote that closes a JSON string, -1 when head ends first.
func stringEnd(head []byte, from int) int {
	for i := from; i < len(head); i++ {
		switch head[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// yamlKeys reads unindented "key:" lines.
func yamlKeys(head []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(head) {
			key, rest, ok := bytes.Cut(line, []byte{':'})
			if !ok || len(key) == 0 || !plainKey(key) || (len(rest) > 0 && rest[0] > ' ') {
				continue
			}
			if !yield(string(key)) {
				return
			}
		}
	}
}

func plainKey(key []byte) bool {
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// Inside returns what follows the first key of the JSON object head starts
// with: the beginning of its first value.
func Inside(head []byte) ([]byte, bool) {
	open := bytes.IndexByte(head, '"')
	if open < 0 {
		return nil, false
	}
	end := stringEnd(head, open+1)
	if end < 0 {
		return nil, false
	}
	_, value, ok := bytes.Cut(head[end:], []byte{':'})
	return value, ok
}
