// Package agent is the role of the node: sensors see events, rules judge them,
// findings go to sinks as one stream of messages. This version replays what was
// recorded; judging live events runs through the same code.
package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seawall-security/seawall/internal/detect/actor"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// Handler takes the stream; the sinks are such.
type Handler interface {
	Handle(ctx context.Context, m seawall.Message) error
}

// Config are the parameters of Replay.
type Config struct {
	Tool   seawall.Tool
	Engine *rules.Engine
	// Source is what the recording is of: seawall.SourceSyscall or seawall.SourceAudit.
	Source string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// RunID identifies the run in its stream; "" takes a random one.
	RunID string
}

// Outcome is what a replay came to.
type Outcome struct {
	Events  int
	Damaged int
	Summary seawall.Summary
}

// maxEvent bounds one recorded event.
const maxEvent = 16 << 20

// maxDamaged is how many damaged lines are named.
const maxDamaged = 3

// Replay judges a recording and sends the report: Run, Asset, a Finding for every
// match in the order of the events, a Status for the reading and one for every
// rule that could not run, End.
//
// A recording of system calls is JSON lines, each a seawall.Event or a
// seawall.Message with one; of an audit log what package auditlog reads. name is
// what the user called it.
func Replay(ctx context.Context, cfg Config, name string, r io.Reader, h Handler) (Outcome, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RunID == "" {
		cfg.RunID = rand.Text()
	}
	p := &replay{Config: cfg, ctx: ctx, out: h, state: cfg.Engine.NewState()}
	started := cfg.Now()
	kind := map[string]seawall.AssetKind{seawall.SourceAudit: seawall.AssetCluster}[cfg.Source]
	if kind == "" {
		kind = seawall.AssetNode
	}
	p.asset = seawall.Asset{ID: string(kind) + ":" + name, Kind: kind, Name: name}
	p.send(seawall.Message{Run: &seawall.Run{SchemaVersion: seawall.SchemaVersion, Tool: cfg.Tool, ID: cfg.RunID, Started: started.UTC().Format(time.RFC3339)}})
	p.send(seawall.Message{Asset: &p.asset})
	var err error
	if cfg.Source == seawall.SourceAudit {
		err = auditlog.Read(ctx, r, p.audit, p.damaged)
	} else {
		err = p.events(r)
	}
	if err == nil {
		err = p.err
	}
	if err != nil {
		return p.outcome, fmt.Errorf("%s: %w", name, err)
	}
	p.statuses(started)
	p.send(seawall.Message{End: &seawall.End{Ended: cfg.Now().UTC().Format(time.RFC3339), Summary: p.outcome.Summary}})
	return p.outcome, p.err
}

type replay struct {
	Config
	ctx     context.Context
	out     Handler
	state   *rules.State
	tokens  actor.Credentials
	asset   seawall.Asset
	outcome Outcome
	bad     []error
	err     error
}

// send keeps the first error of the handler.
func (p *replay) send(m seawall.Message) {
	if p.err == nil {
		p.err = p.out.Handle(p.ctx, m)
	}
}

// events reads JSON lines.
func (p *replay) events(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	for n := 1; lines.Scan(); n++ {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		e, err := readEvent(line)
		if err != nil {
			if err := p.damaged(&auditlog.Damaged{Line: n, Err: err}); err != nil {
				return err
			}
			continue
		}
		if e == nil {
			continue // another message of the stream
		}
		p.judge(rules.Recorded{Event: e}, e, nil, "")
		if p.err != nil {
			return p.err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("a line of more than %d MiB: %w", maxEvent>>20, seawall.ErrBound)
	case err != nil:
		return err
	case p.outcome.Events == 0 && len(p.bad) > 0:
		return fmt.Errorf("no event: %w: %w", p.bad[0], seawall.ErrCorrupt)
	}
	return nil
}

// readEvent reads a line: an event, or a message, of which only events count.
func readEvent(line []byte) (*seawall.Event, error) {
	var both struct {
		seawall.Event
		Message *seawall.Event `json:"event"`
	}
	if err := json.Unmarshal(line, &both); err != nil {
		return nil, err
	}
	switch {
	case both.Message != nil:
		return both.Message, nil
	case both.Event.Type != "":
		return &both.Event, nil
	}
	var message map[string]json.RawMessage
	if err := json.Unmarshal(line, &message); err == nil && len(message) == 1 {
		return nil, nil
	}
	return nil, errors.New(`no event: want {"time": …, "type": …, "fields": {…}}`)
}

func (p *replay) damaged(d *auditlog.Damaged) error {
	p.outcome.Damaged++
	if len(p.bad) < maxDamaged {
		p.bad = append(p.bad, d)
	}
	return nil
}

func (p *replay) audit(e *auditlog.Entry) error {
	p.judge(e, nil, e, e.Resource())
	if e.Stage != "ResponseComplete" {
		return p.err
	}
	for _, f := range twoPlaces(&p.tokens, e) {
		p.tell(f, e, e.Resource())
	}
	return p.err
}

// judge asks the rules about one event. The event of an audit entry is only made when one of them is true for it.
func (p *replay) judge(record rules.Record, event *seawall.Event, entry *auditlog.Entry, resource string) {
	p.outcome.Events++
	for _, r := range p.state.Match(p.Source, record) {
		if event == nil {
			event = entry.Event()
		}
		p.tell(r.Finding(record, event), entry, resource)
	}
}

// tell completes a finding about the newest event and sends it.
func (p *replay) tell(f seawall.Finding, entry *auditlog.Entry, resource string) {
	f.Asset = p.asset.ID
	f.ID = identify(f.Rule, f.Time, p.outcome.Events)
	if entry != nil {
		f.Actor = entry.Actor()
	}
	if resource != "" {
		f.Location = &seawall.Location{Resource: resource}
		f.Locations = []seawall.Location{*f.Location}
	}
	p.outcome.Summary.Add(&f)
	p.send(seawall.Message{Finding: &f})
}

// identify makes the identifier of a match: the same for the same event of the same recording.
func identify(rule, when string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", rule, when, n))
	return hex.EncodeToString(sum[:16])
}

// statuses tell how the reading went, and which rules did not run and why.
func (p *replay) statuses(started time.Time) {
	reading := seawall.CollectorStatus{Asset: p.asset.ID, Name: "sensor/" + p.Source, Status: seawall.RunOK, Found: p.outcome.Events, MS: float64(p.Now().Sub(started).Microseconds()) / 1000}
	if p.outcome.Damaged > 0 {
		reading.Status = seawall.RunPartial
		reading.Reason = fmt.Sprintf("%d damaged: %s", p.outcome.Damaged, errors.Join(p.bad...))
	}
	p.send(seawall.Message{Status: &reading})
	for _, s := range p.Engine.Rules() {
		if s.State == rules.StateUnsupported && s.Source == p.Source {
			p.send(seawall.Message{Status: &seawall.CollectorStatus{Asset: p.asset.ID, Name: "rule/" + s.Name, Status: seawall.RunSkipped, Reason: s.Reason}})
		}
	}
}
