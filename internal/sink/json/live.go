package json

import (
	"context"
	"encoding/json"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// NewLive returns a handler of the jsonl format that writes every message at once,
// in one Write.
func NewLive(w io.Writer) sink.Handler {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return live{enc}
}

type live struct{ enc *json.Encoder }

func (l live) Handle(_ context.Context, m seawall.Message) error {
	if m.Progress != nil {
		return nil
	}
	return l.enc.Encode(m)
}

func (live) Close() error { return nil }
