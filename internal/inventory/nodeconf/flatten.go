package nodeconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxValues bounds the values of one document, maxNesting its depth.
	maxValues, maxNesting = 20_000, 64
	removed               = "(removed)"
)

var errTooMuch = fmt.Errorf("%w: more than %d values or %d levels", seawall.ErrBound, maxValues, maxNesting)

// secretKey tells keys whose value must not be kept.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	switch key {
	case "secret", "auth", "client-key-data", "clientkeydata", "passphrase", "datastore-endpoint":
		return true
	}
	for _, end := range [...]string{"token", "password", "secret-key", "access-key"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// redact replaces the values of secret keys in place and bounds the document.
func redact(v any) error {
	left := maxValues
	return redactBelow(v, &left, 0)
}

func redactBelow(v any, left *int, depth int) error {
	if *left--; *left < 0 || depth > maxNesting {
		return errTooMuch
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch value.(type) {
			case map[string]any, []any, nil:
				if err := redactBelow(value, left, depth+1); err != nil {
					return err
				}
			default:
				if *left--; secretKey(key) && value != "" {
					v[key] = removed
				}
			}
		}
	case []any:
		for _, one := range v {
			if err := redactBelow(one, left, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// flatten writes the values below v into out under dotted names.
func flatten(out map[string]string, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(out, join(prefix, key), value)
		}
	case []any:
		if plain, ok := commas(v); ok {
			out[prefix] = plain
			return
		}
		for i, one := range v {
			flatten(out, join(prefix, strconv.Itoa(i)), one)
		}
	case nil:
	default:
		out[prefix] = scalar(v)
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// commas joins a list of plain values.
func commas(list []any) (string, bool) {
	parts := make([]string, len(list))
	for i, one := range list {
		switch one.(type) {
		case map[string]any, []any:
			return "", false
		}
		parts[i] = scalar(one)
	}
	return strings.Join(parts, ","), true
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
	}
	return fmt.Sprint(v)
}

// tomlConfig reads containerd's and CRI-O's configuration.
func tomlConfig(p string, data []byte) ([]seawall.Fact, error) {
	kind := "containerd/config"
	switch {
	case within(p, "etc/crio/"):
		kind = "crio/config"
	case !within(p, "etc/containerd/", "var/lib/rancher/"):
		return nil, nil
	}
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			return nil, fmt.Errorf("%w: line %d, column %d: %w", seawall.ErrCorrupt, line, column, err)
		}
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return flattened(kind, doc)
}

// dockerConfig reads daemon.json.
func dockerConfig(data []byte) ([]seawall.Fact, error) {
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return flattened("docker/daemon", doc)
}

func flattened(kind string, doc map[string]any) ([]seawall.Fact, error) {
	if err := redact(doc); err != nil {
		return nil, err
	}
	out := map[string]string{}
	flatten(out, "", doc)
	return []seawall.Fact{config(kind, out)}, nil
}
