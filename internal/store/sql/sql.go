// Package sql keeps the store in a SQL database: embedded SQLite in one file, with
// one writer and many readers (write-ahead log). Migrations are embedded and run
// when it is opened.
//
//	Put…, Add…, Prune… ─► one connection, immediate transactions
//	Verdict, Reviews…  ─► a few connections that only read
//
// Columns are what is searched by; the rest of a record is its JSON, compressed
// where it is long. A record is written whole or not at all: a killed process loses
// what it had not answered for, nothing else.
package sql

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many connections read at once.
const readers = 4

// Store implements store.Store.
type Store struct {
	write, read *bun.DB
	encoder     *zstd.Encoder
	decoder     *zstd.Decoder
}

var _ store.Store = (*Store)(nil)

// OpenSQLite opens a database file, making it where there is none. Only one process
// may write to it at a time; another one waits, up to 5 seconds for each write.
func OpenSQLite(ctx context.Context, file string) (*Store, error) {
	s := &Store{}
	var err error
	if s.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, err
	}
	if s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBody)); err != nil {
		return nil, err
	}
	if s.write, err = connect(file, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if err = migrate(ctx, s.write.DB); err == nil {
		s.read, err = connect(file, readers, "_pragma=query_only(1)")
	}
	if err != nil {
		return nil, errors.Join(seawall.WithHint(fmt.Errorf("database %s: %w", file, err), "the file must be Seawall's own and writable, on a local disk"), s.Close())
	}
	return s, nil
}

func connect(file string, connections int, option string) (*bun.DB, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(file)}).String() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&" + option
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", file, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return bun.NewDB(db, sqlitedialect.New()), nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*bun.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	s.decoder.Close()
	return errors.Join(append(errs, s.encoder.Close())...)
}

// maxBody bounds a record, inflated.
const maxBody = 256 << 20

// pack is a value as compressed JSON.
func (s *Store) pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.encoder.EncodeAll(text, nil), nil
}

func (s *Store) unpack(body []byte, into any) error {
	text, err := s.decoder.DecodeAll(body, nil)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return nil
}

// affected is how many rows a statement changed.
func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// limit is how many rows a query asks for.
func limit(n int) int64 {
	if n <= 0 {
		return 1000
	}
	return int64(n)
}
