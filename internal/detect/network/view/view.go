// Package view shows who can reach whom: as JSON, a table, a DOT graph, an SVG
// drawing and a self-contained HTML page. All are made from a reach.Model; JSON is
// written as it is computed, so that large clusters need no memory for it.
package view

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
)

// Ports are ports as JSON: a list, by protocol and number.
type Ports []PortRange

// PortRange is the ports First to Last of a protocol.
type PortRange struct {
	Protocol string `json:"protocol"`
	First    uint16 `json:"first"`
	Last     uint16 `json:"last"`
}

// PortsOf lists a set.
func PortsOf(s portset.Set) Ports {
	list := Ports{}
	for _, p := range portset.Protocols() {
		for _, r := range s.Ranges(p) {
			list = append(list, PortRange{p.String(), r.First, r.Last})
		}
	}
	return list
}

// connection is one line of the graph.
type connection struct {
	From  string          `json:"from"`
	To    string          `json:"to"`
	Ports json.RawMessage `json:"ports"`
}

// JSON writes {"connections": [{from, to, ports}]}: every workload's reach to other
// workloads and, as CIDR blocks, to addresses outside.
func JSON(out io.Writer, m *reach.Model) error {
	w := bufio.NewWriterSize(out, 1<<16)
	fmt.Fprint(w, `{"connections": [`)
	separator := "\n  "
	ports := map[string]json.RawMessage{}
	var failed error
	each(m, func(from, to string, set portset.Set) bool {
		key := set.Key()
		if ports[key] == nil {
			ports[key], failed = json.Marshal(PortsOf(set))
		}
		var line []byte
		if failed == nil {
			line, failed = json.Marshal(connection{from, to, ports[key]})
		}
		if failed == nil {
			w.WriteString(separator)
			_, failed = w.Write(line)
		}
		separator = ",\n  "
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	fmt.Fprint(w, "\n]}\n")
	return w.Flush()
}

// each calls f for every line of the graph: blocks of addresses one by one.
func each(m *reach.Model, f func(from, to string, ports portset.Set) bool) {
	for c := range m.Connections() {
		if c.To != nil {
			if !f(c.From.ID(), c.To.ID(), c.Ports) {
				return
			}
			continue
		}
		for _, block := range c.Addresses.Prefixes() {
			if !f(c.From.ID(), block.String(), c.Ports) {
				return
			}
		}
	}
}

// Table writes a line per connection, blocks of addresses of one connection together,
// and the ways in from outside.
func Table(out io.Writer, m *reach.Model) error {
	w := bufio.NewWriter(out)
	from := ""
	for c := range m.Connections() {
		if id := c.From.ID(); id != from {
			from = id
			fmt.Fprintln(w, from)
		}
		to := c.Addresses.String()
		if c.To != nil {
			to = c.To.ID()
		}
		fmt.Fprintf(w, "  -> %s  %s\n", to, c.Ports)
	}
	if exposures := m.Exposures(); len(exposures) > 0 {
		fmt.Fprintln(w, "\nfrom outside")
		for _, e := range exposures {
			fmt.Fprintf(w, "  %s -> %s  %s\n", strings.Join(e.Chain, " -> "), e.Workload.ID(), e.Ports)
		}
	}
	return w.Flush()
}

// DOT writes a Graphviz graph with a cluster per namespace.
func DOT(out io.Writer, m *reach.Model) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "digraph network {\n  rankdir=LR; node [shape=box, style=rounded, fontname=\"sans-serif\"]; edge [fontname=\"sans-serif\", fontsize=9];")
	namespace := ""
	for i, wl := range m.Workloads {
		if i == 0 || wl.Namespace != namespace {
			if i > 0 {
				fmt.Fprintln(w, "  }")
			}
			namespace = wl.Namespace
			fmt.Fprintf(w, "  subgraph %q { label=%q;\n", "cluster_"+namespace, namespace)
		}
		fmt.Fprintf(w, "    %q [label=%q];\n", wl.ID(), wl.Kind+"\n"+wl.Name)
	}
	if len(m.Workloads) > 0 {
		fmt.Fprintln(w, "  }")
	}
	for c := range m.Connections() {
		to := c.Addresses.String()
		if c.To != nil {
			to = c.To.ID()
		}
		fmt.Fprintf(w, "  %q -> %q [label=%q];\n", c.From.ID(), to, c.Ports)
	}
	fmt.Fprintln(w, "}")
	return w.Flush()
}
