package sql

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

type reviewRow struct {
	bun.BaseModel `bun:"table:reviews"`
	ID            int64 `bun:",pk,autoincrement"`
	Time          int64
	Namespace     string
	Allowed       bool
	Body          []byte
}

// AddReviews implements store.Reviews.
func (s *Store) AddReviews(ctx context.Context, reviews []store.Review) error {
	return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for part := range slices.Chunk(reviews, some) {
			rows := make([]reviewRow, len(part))
			for i := range part {
				body, err := json.Marshal(&part[i])
				if err != nil {
					return fmt.Errorf("review %s: %w", part[i].UID, err)
				}
				rows[i] = reviewRow{Time: part[i].Time.UnixMilli(), Namespace: part[i].Namespace, Allowed: part[i].Allowed, Body: body}
			}
			if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
				return fmt.Errorf("reviews: %w", err)
			}
		}
		return nil
	})
}

// Reviews implements store.Reviews.
func (s *Store) Reviews(ctx context.Context, q store.ReviewQuery) ([]store.Review, error) {
	var rows []reviewRow
	query := s.read.NewSelect().Model(&rows).OrderExpr("time DESC, id DESC").Limit(limit(q.Limit))
	if q.Namespace != "" {
		query.Where("namespace = ?", q.Namespace)
	}
	if q.Denied {
		query.Where("NOT allowed")
	}
	if !q.Since.IsZero() {
		query.Where("time >= ?", q.Since.UnixMilli())
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("reviews: %w", err)
	}
	reviews := make([]store.Review, len(rows))
	for i := range rows {
		if err := json.Unmarshal(rows[i].Body, &reviews[i]); err != nil {
			return nil, fmt.Errorf("review %d: %w: %w", rows[i].ID, seawall.ErrCorrupt, err)
		}
	}
	return reviews, nil
}

// PruneReviews implements store.Reviews.
func (s *Store) PruneReviews(ctx context.Context, before time.Time) (int, error) {
	return affected(s.write.NewDelete().Model((*reviewRow)(nil)).Where("time < ?", before.UnixMilli()).Exec(ctx))
}

type resultRow struct {
	bun.BaseModel `bun:"table:results"`
	UID           string `bun:",pk"`
	Cluster       string
	Namespace     string
	Kind          string
	Judged        int64
	Decided       bool
	Body          []byte
}

// PutResult implements store.Results.
func (s *Store) PutResult(ctx context.Context, r *store.Result) error {
	body, err := s.pack(r)
	if err != nil {
		return fmt.Errorf("result of %s: %w", r.UID, err)
	}
	row := resultRow{UID: r.UID, Cluster: r.Cluster, Namespace: r.Namespace, Kind: r.Kind, Judged: r.Judged.UnixMilli(), Decided: len(r.Decisions) > 0, Body: body}
	return s.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (uid) DO UPDATE").
			Set("cluster = EXCLUDED.cluster, namespace = EXCLUDED.namespace, kind = EXCLUDED.kind, judged = EXCLUDED.judged, decided = EXCLUDED.decided, body = EXCLUDED.body").Exec(ctx)
		if err == nil {
			err = see(ctx, tx, failing(r.Findings), r.Judged)
		}
		if err != nil {
			return fmt.Errorf("result of %s: %w", r.UID, err)
		}
		return nil
	})
}

// DeleteResult implements store.Results.
func (s *Store) DeleteResult(ctx context.Context, uid string) error {
	_, err := s.write.NewDelete().Model((*resultRow)(nil)).Where("uid = ?", uid).Exec(ctx)
	return err
}

// Results implements store.Results.
func (s *Store) Results(ctx context.Context, q store.ResultQuery) ([]store.Result, error) {
	var rows []resultRow
	query := s.read.NewSelect().Model(&rows).Where("uid > ?", q.After).Order("uid").Limit(limit(q.Limit))
	for column, value := range map[string]string{"cluster": q.Cluster, "namespace": q.Namespace, "kind": q.Kind} {
		if value != "" {
			query.Where("? = ?", bun.Ident(column), value)
		}
	}
	if q.Decided {
		query.Where("decided")
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	results := make([]store.Result, len(rows))
	for i := range rows {
		if err := s.unpack(rows[i].Body, &results[i]); err != nil {
			return nil, fmt.Errorf("result of %s: %w", rows[i].UID, err)
		}
	}
	return results, nil
}

// PruneResults implements store.Results.
func (s *Store) PruneResults(ctx context.Context, cluster string, before time.Time) (int, error) {
	return affected(s.write.NewDelete().Model((*resultRow)(nil)).Where("cluster = ? AND judged < ?", cluster, before.UnixMilli()).Exec(ctx))
}

// failing are the identifiers of failing findings.
func failing(findings []seawall.Finding) []string {
	var ids []string
	for i := range findings {
		if f := &findings[i]; f.Status == seawall.StatusFail && f.ID != "" {
			ids = append(ids, f.ID)
		}
	}
	slices.SortFunc(ids, cmp.Compare[string])
	return slices.Compact(ids)
}

func chunks(ids []string) iter.Seq[[]string] { return slices.Chunk(ids, some) }
