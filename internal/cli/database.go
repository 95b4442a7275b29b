package cli

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/starter"
	"github.com/seawall-security/seawall/internal/advisory/update"
	"github.com/seawall-security/seawall/internal/seawall"
)

// databaseFlags say which advisory database to use.
type databaseFlags struct {
	path string
	key  string
}

func (f *databaseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "db", "", "advisory database file (default: what 'seawall db update' fetched, else the embedded one)")
	cmd.Flags().StringVar(&f.key, "db-key", "", "PEM file with the ed25519 public key the database must be signed by")
}

// databasePath is where update puts the database and scans look for it.
func databasePath(cacheDir string) string { return filepath.Join(cacheDir, "db", "seawall.db") }

// openDatabase opens the named database, else the updated one, else the embedded one.
// A database that is there but damaged is an error, never passed over.
func (a *app) openDatabase(f *databaseFlags, cacheFlag string) (*db.Reader, error) {
	key, err := readPublicKey(f.key)
	if err != nil {
		return nil, err
	}
	if f.path != "" {
		return db.Open(f.path, key)
	}
	if dir, err := a.cacheDirectory(cacheFlag); err == nil {
		path := databasePath(dir)
		if _, err := os.Stat(path); err == nil {
			r, err := db.Open(path, key)
			return r, seawall.WithHint(err, "fetch it again with 'seawall db update', or remove the file to use the embedded database")
		}
	}
	if key != nil {
		return nil, seawall.WithHint(fmt.Errorf("--db-key: the embedded database is part of this program and carries no signature: %w", seawall.ErrUsage),
			"fetch a signed one with 'seawall db update', or name it with --db")
	}
	return starter.Open()
}

// readPublicKey reads the key databases must be signed by; "" is no key.
func readPublicKey(path string) (ed25519.PublicKey, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--db-key: %w: %w", err, seawall.ErrUsage)
	}
	key, err := update.ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("--db-key %s: %w", path, err)
	}
	return key, nil
}
