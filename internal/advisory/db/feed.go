package db

import (
	"iter"

	"github.com/seawall-security/seawall/internal/advisory"
)

// Feed yields the advisories of one feed with their statements, as Select does
// for all: what an incremental update starts from.
func (r *Reader) Feed(name string) iter.Seq2[*advisory.Advisory, error] {
	one := &Reader{data: r.data, table: &table{built: r.table.built}, decoder: r.decoder}
	for _, s := range r.table.sections {
		if s.feed == name {
			one.table.sections = append(one.table.sections, s)
		}
	}
	return one.Select(nil)
}
