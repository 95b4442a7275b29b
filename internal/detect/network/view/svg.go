package view

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
)

// Sizes of the drawing, in pixels.
const (
	cellWidth, cellHeight = 190, 40
	gap, pad, bar         = 46, 16, 30
	// most is how many connections are drawn one by one; of more, those between namespaces.
	most = 400
)

const svgStyle = `text{font:12px system-ui,"Noto Sans","DejaVu Sans",sans-serif;fill:#10222f}.k{font-size:10px;fill:#4c606e}.t{font-weight:bold;font-size:13px}` +
	`.ns{fill:#f5f8fa;stroke:#cfdbe2}.w{fill:#fff;stroke:#12653a}.o{stroke:#a86f00;stroke-dasharray:5 3}path{fill:none;stroke:#0a6fb0;opacity:.55}.all{stroke:#b0420a}` +
	`@media(prefers-color-scheme:dark){text{fill:#e3edf2}.k{fill:#9fb3bf}svg{background:#08161e}.ns{fill:#0b1b24;stroke:#2a4552}.w{fill:#0f222c;stroke:#6fd39b}.o{stroke:#f0c452}path{stroke:#74c3ea}.all{stroke:#ffa36b}}`

// point is the top left corner of something of a width and height.
type point struct{ x, y, w, h int }

// SVG draws namespaces, workloads and connections; of more than a few hundred
// connections only that there are some between two namespaces.
func SVG(out io.Writer, m *reach.Model) error {
	w := bufio.NewWriter(out)
	spaces, order, workloads, width, height := layout(m.Workloads)
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"Who can reach whom\">\n<style>%s</style>\n", width, height, width, height, svgStyle)
	fmt.Fprintln(w, `<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" style="fill:#0a6fb0;stroke:none"/></marker></defs>`)
	for _, name := range order {
		p := spaces[name]
		fmt.Fprintf(w, "<rect class=\"ns\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"8\"/><text class=\"t\" x=\"%d\" y=\"%d\">%s</text>\n", p.x, p.y, p.w, p.h, p.x+12, p.y+20, html.EscapeString(name))
	}
	for _, wl := range m.Workloads {
		p, class := workloads[wl.ID()], "w"
		if !m.Isolated(wl, reach.Ingress) {
			class = "w o"
		}
		fmt.Fprintf(w, "<g><title>%s</title><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/><text class=\"k\" x=\"%d\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\">%s</text></g>\n",
			html.EscapeString(wl.ID()), class, p.x, p.y, p.w, p.h, p.x+9, p.y+14, html.EscapeString(wl.Kind), p.x+9, p.y+30, html.EscapeString(short(wl.Name)))
	}
	edges(w, m, spaces, workloads)
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

// short cuts a name to what fits into its box.
func short(name string) string {
	if r := []rune(name); len(r) > 26 {
		return string(r[:25]) + "…"
	}
	return name
}

// layout puts workloads into boxes by namespace, and boxes on shelves.
func layout(list []*reach.Workload) (spaces map[string]point, order []string, workloads map[string]point, width, height int) {
	spaces, workloads = map[string]point{}, map[string]point{}
	members := map[string][]*reach.Workload{}
	for _, w := range list {
		if members[w.Namespace] == nil {
			order = append(order, w.Namespace)
		}
		members[w.Namespace] = append(members[w.Namespace], w)
	}
	limit := int(math.Sqrt(float64(len(list)*(cellWidth+gap)*(cellHeight+gap))*2)) + cellWidth + 2*pad
	x, y, shelf := pad, pad, 0
	for _, name := range order {
		columns := int(math.Ceil(math.Sqrt(float64(len(members[name])) / 2)))
		rows := (len(members[name]) + columns - 1) / columns
		p := point{x, y, columns*(cellWidth+gap) - gap + 2*pad, bar + rows*(cellHeight+gap) - gap + pad}
		if p.x > pad && p.x+p.w > limit {
			p.x, p.y = pad, y+shelf+gap
			y, shelf = p.y, 0
		}
		spaces[name] = p
		for i, w := range members[name] {
			workloads[w.ID()] = point{p.x + pad + i%columns*(cellWidth+gap), p.y + bar + i/columns*(cellHeight+gap), cellWidth, cellHeight}
		}
		x, shelf = p.x+p.w+gap, max(shelf, p.h)
		width = max(width, p.x+p.w+pad)
	}
	return spaces, order, workloads, max(width, cellWidth), y + shelf + pad
}

// edges draws the connections between workloads.
func edges(w io.Writer, m *reach.Model, spaces, workloads map[string]point) {
	count := 0
	for c := range m.Connections() {
		if c.To != nil {
			count++
		}
	}
	drawn := map[[2]string]bool{}
	for c := range m.Connections() {
		if c.To == nil {
			continue
		}
		from, to, label := workloads[c.From.ID()], workloads[c.To.ID()], c.From.ID()+" → "+c.To.ID()+": "+c.Ports.String()
		if count > most {
			from, to, label = spaces[c.From.Namespace], spaces[c.To.Namespace], c.From.Namespace+" → "+c.To.Namespace
			key := [2]string{c.From.Namespace, c.To.Namespace}
			if from == to || drawn[key] {
				continue
			}
			drawn[key] = true
		}
		class := ""
		if count <= most && c.Ports.Equal(portset.All()) {
			class = ` class="all"`
		}
		x1, y1, x2, y2 := between(from, to)
		bend := (x2 - x1 + y2 - y1) / 8
		fmt.Fprintf(w, "<path%s marker-end=\"url(#a)\" d=\"M%d %dQ%d %d %d %d\"><title>%s</title></path>\n", class, x1, y1, (x1+x2)/2+bend, (y1+y2)/2-bend, x2, y2, html.EscapeString(label))
	}
}

// between is where a line leaves one box and meets another: at the sides that face.
func between(a, b point) (x1, y1, x2, y2 int) {
	x1, y1, x2, y2 = a.x+a.w/2, a.y+a.h/2, b.x+b.w/2, b.y+b.h/2
	switch {
	case b.x >= a.x+a.w:
		x1, x2 = a.x+a.w, b.x
	case a.x >= b.x+b.w:
		x1, x2 = a.x, b.x+b.w
	case b.y >= a.y+a.h:
		y1, y2 = a.y+a.h, b.y
	case a.y >= b.y+b.h:
		y1, y2 = a.y, b.y+b.h
	}
	return x1, y1, x2, y2
}
