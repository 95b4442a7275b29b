package kernel

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// SetFilter changes what is copied out of the kernel, while events keep coming: what
// both the old and the new filter want is not interrupted. An unknown type is passed over: no sensor of this
// version tells it.
func (s *Sensor) SetFilter(f seawall.EventFilter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// More before less.
	prefixes, suffixes := pathKeys(f)
	if err := addKeys(s.objects.Prefixes, s.prefixes, prefixes); err != nil {
		return fmt.Errorf("path prefixes: %w", err)
	}
	if err := addKeys(s.objects.Suffixes, s.suffixes, suffixes); err != nil {
		return fmt.Errorf("path suffixes: %w", err)
	}
	if err := s.setCalls(f); err != nil {
		return err
	}
	if err := s.setSettings(f); err != nil {
		return err
	}
	if err := removeKeys(s.objects.Prefixes, s.prefixes, prefixes); err != nil {
		return fmt.Errorf("path prefixes: %w", err)
	}
	if err := removeKeys(s.objects.Suffixes, s.suffixes, suffixes); err != nil {
		return fmt.Errorf("path suffixes: %w", err)
	}
	s.prefixes, s.suffixes, s.filter = prefixes, suffixes, f
	return nil
}

// setCalls fills the table of system calls.
func (s *Sensor) setCalls(f seawall.EventFilter) error {
	for t, call := range s.calls {
		switch {
		case wants(f, t):
		case call.Flags&anyFD != 0:
			call = sensorCall{} // too frequent even to count
		default:
			call.Kind = uint8(sensorKindKIND_NONE)
		}
		for _, row := range s.rows[t] {
			if err := s.objects.Calls.Put(row, call); err != nil {
				return fmt.Errorf("table of calls: %v: %w", t, err)
			}
		}
	}
	return nil
}

// wants reports whether a filter asks for a type, or for one that cannot be told without it.
func wants(f seawall.EventFilter, t trace.Type) bool {
	named := func(t trace.Type) bool { return f.Types == nil || slices.Contains(f.Types, t.String()) }
	switch t {
	case trace.Mmap:
		return f.Maps || named(t)
	case trace.Connect: // which descriptors are resolvers'
		return named(t) || named(trace.Write) || named(trace.Read)
	}
	return named(t)
}

func (s *Sensor) setSettings(f seawall.EventFilter) error {
	settings := sensorSettings{
		Own:      s.own,
		AllReads: number32(f.Reads == nil), AllWrites: number32(f.Writes == nil),
		Maps: number32(f.Maps), Environment: number32(f.Environment),
		Ring: number32(wants(f, trace.IOUringOp)),
	}
	if s.config.Rate > 0 {
		settings.Rate, settings.Burst = uint64(s.config.Rate), uint64(s.config.Burst)
	}
	if err := s.objects.Config.Put(uint32(0), settings); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

func number32(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// pathKeys are the keys of both path filters with what they are wanted for.
func pathKeys(f seawall.EventFilter) (map[sensorPrefixKey]uint32, map[sensorSuffixKey]uint32) {
	prefixes, suffixes := map[sensorPrefixKey]uint32{}, map[sensorSuffixKey]uint32{}
	for use, p := range map[sensorPathUse]*seawall.PathFilter{sensorPathUseUSE_READ: f.Reads, sensorPathUseUSE_WRITE: f.Writes} {
		if p == nil {
			continue
		}
		for _, text := range p.Prefixes {
			prefixes[prefixKey(text)] |= uint32(use)
		}
		for _, text := range p.Suffixes {
			suffixes[suffixKey(text)] |= uint32(use)
		}
	}
	// A lookup finds the longest key: it must say what the shorter ones say as well.
	for long := range prefixes {
		for short, use := range prefixes {
			if short.Bits < long.Bits && string(short.Text[:short.Bits/8]) == string(long.Text[:short.Bits/8]) {
				prefixes[long] |= use
			}
		}
	}
	for long := range suffixes {
		for short, use := range suffixes {
			if short.Bits < long.Bits && string(short.Text[:short.Bits/8]) == string(long.Text[:short.Bits/8]) {
				suffixes[long] |= use
			}
		}
	}
	return prefixes, suffixes
}

// prefixKey is the key of a prefix; of a longer one than the programs compare, of its start.
func prefixKey(text string) (k sensorPrefixKey) {
	n := copy(k.Text[:], text)
	k.Bits = uint32(8 * n)
	return k
}

// suffixKey is the key of a suffix, back to front; of a longer one than the programs compare, of its end.
func suffixKey(text string) (k sensorSuffixKey) {
	n := min(len(text), len(k.Text))
	for i := range n {
		k.Text[i] = text[len(text)-1-i]
	}
	k.Bits = uint32(8 * n)
	return k
}

func addKeys[K comparable](m *ebpf.Map, old, wanted map[K]uint32) error {
	for k, use := range wanted {
		// Between the two filters an entry says what either does.
		if err := m.Put(k, use|old[k]); err != nil {
			return err
		}
	}
	return nil
}

func removeKeys[K comparable](m *ebpf.Map, old, wanted map[K]uint32) error {
	for k, was := range old {
		switch use, kept := wanted[k]; {
		case !kept:
			if err := m.Delete(k); err != nil {
				return err
			}
		case use|was != use:
			if err := m.Put(k, use); err != nil {
				return err
			}
		}
	}
	return nil
}
