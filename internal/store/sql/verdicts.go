package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

type verdictRow struct {
	bun.BaseModel `bun:"table:verdicts"`
	Digest        string `bun:",pk"`
	Scanned       int64
	Scanner       string
	Database      string
	Packages      int
	Body          []byte
}

// verdictBody is the part of a verdict that nothing is searched by.
type verdictBody struct {
	Asset    seawall.Asset      `json:"asset"`
	Findings []seawall.Finding  `json:"findings,omitempty"`
	Coverage []seawall.Coverage `json:"coverage,omitempty"`
}

// Verdict implements store.Verdicts.
func (s *Store) Verdict(ctx context.Context, digest string) (*store.Verdict, error) {
	row := verdictRow{Digest: digest}
	switch err := s.read.NewSelect().Model(&row).WherePK().Scan(ctx); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("verdict of %s: %w", digest, store.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("verdict of %s: %w", digest, err)
	}
	var body verdictBody
	if err := s.unpack(row.Body, &body); err != nil {
		return nil, fmt.Errorf("verdict of %s: %w", digest, err)
	}
	v := &store.Verdict{
		Digest: digest, Asset: body.Asset, Packages: row.Packages, Findings: body.Findings, Coverage: body.Coverage,
		Scanned: moment(row.Scanned), Scanner: row.Scanner, Database: row.Database,
	}
	var err error
	if v.FirstSeen, err = s.FirstSeen(ctx, failing(v.Findings)); err != nil {
		return nil, err
	}
	return v, nil
}

// PutVerdict implements store.Verdicts.
func (s *Store) PutVerdict(ctx context.Context, v *store.Verdict) error {
	body, err := s.pack(verdictBody{v.Asset, v.Findings, v.Coverage})
	if err != nil {
		return fmt.Errorf("verdict of %s: %w", v.Digest, err)
	}
	row := verdictRow{Digest: v.Digest, Scanned: v.Scanned.UnixMilli(), Scanner: v.Scanner, Database: v.Database, Packages: v.Packages, Body: body}
	return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (digest) DO UPDATE").
			Set("scanned = EXCLUDED.scanned, scanner = EXCLUDED.scanner, database = EXCLUDED.database, packages = EXCLUDED.packages, body = EXCLUDED.body").Exec(ctx)
		if err == nil {
			err = see(ctx, tx, failing(v.Findings), v.Scanned)
		}
		if err != nil {
			return fmt.Errorf("verdict of %s: %w", v.Digest, err)
		}
		return nil
	})
}

// Digests implements store.Verdicts.
func (s *Store) Digests(ctx context.Context, n int) ([]string, error) {
	var digests []string
	err := s.read.NewSelect().Model((*verdictRow)(nil)).Column("digest").OrderExpr("scanned DESC, digest").Limit(limit(n)).Scan(ctx, &digests)
	return digests, err
}

// PruneVerdicts implements store.Verdicts.
func (s *Store) PruneVerdicts(ctx context.Context, before time.Time) (int, error) {
	return affected(s.write.NewDelete().Model((*verdictRow)(nil)).Where("scanned < ?", before.UnixMilli()).Exec(ctx))
}

type sightingRow struct {
	bun.BaseModel `bun:"table:sightings"`
	ID            string `bun:",pk"`
	First         int64
	Last          int64
}

// some is how many rows one statement names: SQLite has at most 32,766 parameters.
const some = 1000

// see notes findings as seen.
func see(ctx context.Context, tx bun.Tx, ids []string, when time.Time) error {
	for part := range chunks(ids) {
		rows := make([]sightingRow, len(part))
		for i, id := range part {
			rows[i] = sightingRow{ID: id, First: when.UnixMilli(), Last: when.UnixMilli()}
		}
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (id) DO UPDATE").
			Set("first = min(sighting_row.first, EXCLUDED.first), last = max(sighting_row.last, EXCLUDED.last)").Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// FirstSeen implements store.Sightings.
func (s *Store) FirstSeen(ctx context.Context, ids []string) (map[string]time.Time, error) {
	seen := make(map[string]time.Time, len(ids))
	for part := range chunks(ids) {
		var rows []sightingRow
		if err := s.read.NewSelect().Model(&rows).Where("id IN (?)", bun.List(part)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("when findings were first seen: %w", err)
		}
		for _, r := range rows {
			seen[r.ID] = moment(r.First)
		}
	}
	return seen, nil
}

// PruneSightings implements store.Sightings.
func (s *Store) PruneSightings(ctx context.Context, before time.Time) (int, error) {
	return affected(s.write.NewDelete().Model((*sightingRow)(nil)).Where("last < ?", before.UnixMilli()).Exec(ctx))
}
