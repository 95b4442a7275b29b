package db

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// states are the vendor's words by their number in a file; the order is part of the format.
var states = [...]seawall.VulnerabilityState{
	"", seawall.StateFixed, seawall.StateAffected, seawall.StateWillNotFix, seawall.StateDeferred,
	seawall.StateEndOfLife, seawall.StateUnderInvestigation,
}

// The fields a statement has beside its ranges.
const (
	hasUnaffected = 1 << iota
	hasWithdrawn
	hasState
	hasSeverity
	hasModule
	hasFixedAt
	hasVersions
	hasCVSS
	hasArches
	hasSymbols
)

// The kinds of range event, in the low bits of the event's length.
const (
	eventIntroduced = iota
	eventFixed
	eventLastAffected
	eventLimit
)

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// appendTime writes RFC 3339 UTC seconds as a number (the seconds, plus 2), "" as 0, anything else as 1 and the text.
func appendTime(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0)
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil && t.Unix() >= 0 && formatTime(t.Unix()) == s {
		return binary.AppendUvarint(b, uint64(t.Unix())+2)
	}
	return appendString(append(b, 1), s)
}

func formatTime(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func appendCVSS(b []byte, list []seawall.CVSS) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, c := range list {
		b = appendString(b, c.Source)
		b = appendString(b, c.Version)
		b = appendString(b, c.Vector)
		b = append(b, byte(math.Round(c.Score*10)))
	}
	return b
}

// appendAdvisory writes everything but Affected.
func appendAdvisory(b []byte, a *advisory.Advisory) []byte {
	b = appendString(b, a.ID)
	b = append(b, byte(a.Kind), byte(a.Severity))
	for _, s := range [...]string{a.Notice, a.Source, a.Summary} {
		b = appendString(b, s)
	}
	for _, t := range [...]string{a.Published, a.Modified, a.Withdrawn} {
		b = appendTime(b, t)
	}
	for _, list := range [...][]string{a.Aliases, a.Upstream, a.Related, a.CWEs, a.References} {
		b = appendStrings(b, list)
	}
	return appendCVSS(b, a.CVSS)
}

// appendAffected writes a statement without its ecosystem, name and advisory.
func appendAffected(b []byte, f *advisory.Affected, withdrawn bool) ([]byte, error) {
	state := slices.Index(states[:], f.State)
	if state < 0 {
		return nil, fmt.Errorf("unknown state %q", f.State)
	}
	fields := 0
	for bit, set := range [...]bool{ // in the order of the constants
		f.Unaffected, withdrawn, state > 0, f.Severity != 0, f.Module != "", f.FixedAt != "",
		len(f.Versions) > 0, len(f.CVSS) > 0, len(f.Arches) > 0, len(f.Symbols) > 0,
	} {
		if set {
			fields |= 1 << bit
		}
	}
	b = binary.AppendUvarint(b, uint64(fields))
	b = appendRanges(b, f.Ranges)
	if fields&hasState != 0 {
		b = append(b, byte(state))
	}
	if fields&hasSeverity != 0 {
		b = append(b, byte(f.Severity))
	}
	if fields&hasModule != 0 {
		b = appendString(b, f.Module)
	}
	if fields&hasFixedAt != 0 {
		b = appendTime(b, f.FixedAt)
	}
	if fields&hasVersions != 0 {
		b = appendStrings(b, f.Versions)
	}
	if fields&hasCVSS != 0 {
		b = appendCVSS(b, f.CVSS)
	}
	if fields&hasArches != 0 {
		b = appendStrings(b, f.Arches)
	}
	if fields&hasSymbols != 0 {
		b = appendStrings(b, f.Symbols)
	}
	return b, nil
}

// appendRanges writes introduced "0", the most common event, as an empty introduced.
func appendRanges(b []byte, ranges []advisory.Range) []byte {
	b = binary.AppendUvarint(b, uint64(len(ranges)))
	for _, r := range ranges {
		b = binary.AppendUvarint(b, uint64(len(r.Events))<<1|uint64(r.Type&1))
		for _, e := range r.Events {
			kind, text := eventIntroduced, e.Introduced
			switch {
			case e.Fixed != "":
				kind, text = eventFixed, e.Fixed
			case e.LastAffected != "":
				kind, text = eventLastAffected, e.LastAffected
			case e.Limit != "":
				kind, text = eventLimit, e.Limit
			case text == "0":
				text = ""
			}
			b = binary.AppendUvarint(b, uint64(len(text))<<2|uint64(kind))
			b = append(b, text...)
		}
	}
	return b
}
