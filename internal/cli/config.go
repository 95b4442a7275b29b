package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	settingsFile     = "seawall.yaml"
	maxSettingsBytes = 1 << 20
)

// applySettings fills the flags the user did not give, from SEAWALL_* variables
// first (--fail-on is SEAWALL_FAIL_ON), then from the settings file, whose keys
// are the flags' names. A key no command has is an error; one that only another
// command has is left to it.
func (a *app) applySettings(cmd *cobra.Command) error {
	settings, path, err := a.readSettings(cmd)
	if err != nil {
		return err
	}
	known := allFlags(cmd.Root())
	for i := 0; i+1 < len(settings); i += 2 {
		key := settings[i]
		if !known[key.Value] {
			return seawall.WithHint(fmt.Errorf("%s:%d:%d: unknown setting %q: %w", path, key.Line, key.Column, key.Value, seawall.ErrUsage),
				"settings are named like the flags of 'seawall scan image --help'")
		}
	}
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil || f.Name == "help" || f.Name == "config" {
			return
		}
		variable := "SEAWALL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := a.lookupEnv(variable); ok {
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				failed = fmt.Errorf("%s: %w: %w", variable, err, seawall.ErrUsage)
			}
			return
		}
		failed = setFromFile(cmd, f, settings, path)
	})
	return failed
}

// setFromFile sets one flag from the settings; a list sets a repeatable flag once per item.
func setFromFile(cmd *cobra.Command, f *pflag.Flag, settings []*yaml.Node, path string) error {
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i].Value != f.Name {
			continue
		}
		values := []*yaml.Node{settings[i+1]}
		if values[0].Kind == yaml.SequenceNode {
			values = values[0].Content
		}
		for _, v := range values {
			if v.Kind != yaml.ScalarNode {
				return fmt.Errorf("%s:%d:%d: %s wants a word or a list of words: %w", path, v.Line, v.Column, f.Name, seawall.ErrUsage)
			}
			if err := cmd.Flags().Set(f.Name, v.Value); err != nil {
				return fmt.Errorf("%s:%d:%d: %w: %w", path, v.Line, v.Column, err, seawall.ErrUsage)
			}
		}
	}
	return nil
}

// readSettings returns the key and value nodes of the settings file, nil when there is none.
func (a *app) readSettings(cmd *cobra.Command) ([]*yaml.Node, string, error) {
	path, explicit := settingsFile, false
	if f := cmd.Flags().Lookup("config"); f != nil && f.Value.String() != "" {
		path, explicit = f.Value.String(), true
	} else if v := a.getenv("SEAWALL_CONFIG"); v != "" {
		path, explicit = v, true
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return nil, path, nil
	}
	if err != nil {
		return nil, path, fmt.Errorf("settings: %w: %w", err, seawall.ErrUsage)
	}
	if info.Size() > maxSettingsBytes {
		return nil, path, fmt.Errorf("settings %s: %d bytes, the bound is %d: %w", path, info.Size(), maxSettingsBytes, seawall.ErrUsage)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, path, fmt.Errorf("settings: %w: %w", err, seawall.ErrUsage)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, path, fmt.Errorf("settings %s: %w: %w", path, err, seawall.ErrUsage)
	}
	if len(doc.Content) == 0 {
		return nil, path, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, path, fmt.Errorf("%s:%d: want 'flag-name: value' lines: %w", path, doc.Content[0].Line, seawall.ErrUsage)
	}
	return doc.Content[0].Content, path, nil
}

func allFlags(cmd *cobra.Command) map[string]bool {
	names := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { names[f.Name] = true })
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(cmd)
	delete(names, "help")
	delete(names, "config")
	return names
}
