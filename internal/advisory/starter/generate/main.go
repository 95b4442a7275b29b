// Command generate writes the starter database from a directory of advisory
// snapshots:
//
//	go run ./internal/advisory/starter/generate FROM [OUT]
//
// The bytes depend on the snapshots alone: facts only, the built time is that of
// the newest source. Debian and Alpine are left out, their snapshots are old.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/seawall-security/seawall/internal/advisory/starter/snapshot"
)

func main() {
	log.SetFlags(0)
	out := "internal/advisory/starter/starter.db"
	switch len(os.Args) {
	case 2:
	case 3:
		out = os.Args[2]
	default:
		log.Fatal("usage: generate FROM [OUT]")
	}
	if err := generate(os.Args[1], out); err != nil {
		log.Fatal(err)
	}
}

func generate(from, out string) error {
	data, report, err := snapshot.Build(context.Background(), from)
	if err != nil {
		return err
	}
	for _, s := range report.Sources {
		fmt.Fprintf(os.Stderr, "%-14s %6d  %s\n", s.Name, s.Advisories, s.Updated)
	}
	fmt.Fprintf(os.Stderr, "%s: %d bytes\n", out, len(data))
	return os.WriteFile(out, data, 0o644)
}
