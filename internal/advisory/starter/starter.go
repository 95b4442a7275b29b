// Package starter holds the database that is embedded in the program, so that
// the first scan works at once and offline. It holds facts only, from the
// sources NOTICE names, and is as old as Info().Built says; what it does not
// cover is not evaluated.
//
// Data flows: snapshots -> starter/generate (make starter-db) -> starter.db,
// committed -> embedded -> Open.
package starter

import (
	_ "embed"

	"github.com/seawall-security/seawall/internal/advisory/db"
)

//go:embed starter.db
var data []byte

// Origin is the DatabaseInfo.Origin of the embedded database.
const Origin = "embedded"

// Open returns the embedded database.
func Open() (*db.Reader, error) { return db.New(data, Origin, nil) }
