package view

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/rbac"
)

// Sizes of the drawing, in pixels.
const (
	boxWidth, boxHeight = 276, 40
	columnGap, rowGap   = 56, 14
	margin              = 16
	labelRunes          = 36
	whyRunes            = 42
)

const svgStyle = `
.esc{font:12px system-ui,sans-serif;color-scheme:light dark}
.esc .back{fill:light-dark(#fff,#0f222c)}.esc .label{fill:light-dark(#10222f,#e3edf2);font-weight:600}.esc .why{fill:light-dark(#4c606e,#b4c5cf);font-size:11px}
.esc rect.box{stroke:light-dark(#9aa7b4,#4a6675)}.esc path{stroke:light-dark(#9aa7b4,#4a6675)}
.esc .subject rect.box{fill:light-dark(#e8eefc,#1d3050)}.esc .workload rect.box{fill:light-dark(#e9f6ee,#173626)}
.esc .node rect.box{fill:light-dark(#fdeede,#43301a)}.esc .power rect.box{fill:light-dark(#fbe6ea,#48222d)}
.esc .admin rect.box{fill:light-dark(#9c1232,#b3264a);stroke:none}.esc .admin .label{fill:#fff}
.esc .on rect.box,.esc path.on{stroke:light-dark(#9c1232,#ff8aa0);stroke-width:2.5}.esc .dim{opacity:.25}
.esc g{cursor:pointer;outline:none}.esc g:focus-visible rect.box{stroke:light-dark(#0b78b8,#74c3ea);stroke-width:3}
`

// fills are for renderers that know no stylesheets' functions.
var fills = map[string]string{"admin": "#9c1232", "subject": "#e8eefc", "workload": "#e9f6ee", "node": "#fdeede", "power": "#fbe6ea"}

// SVG draws the shortest paths to cluster-admin, from left to right.
func SVG(w io.Writer, a *rbac.Analysis) error {
	out := bufio.NewWriter(w)
	out.WriteString(drawing(a))
	return out.Flush()
}

// drawing is the SVG element.
func drawing(a *rbac.Analysis) string {
	root, omitted := tree(a)
	if len(root.children) == 0 {
		return nothing(empty(a))
	}
	c := canvas{id: map[*box]int{}, next: map[*box]*box{}}
	rows := 0.0
	root.walk(func(b *box) {
		c.depth, rows = max(c.depth, b.depth), max(rows, b.y)
		c.id[b] = len(c.id)
		for _, child := range b.children {
			c.next[child] = b
		}
	})
	width := 2*margin + (c.depth+1)*boxWidth + c.depth*columnGap
	height := 2*margin + int(rows*(boxHeight+rowGap)) + boxHeight
	if omitted > 0 {
		height += 24
	}
	c.open(width, height)
	root.walk(c.lines)
	root.walk(c.box)
	if omitted > 0 {
		fmt.Fprintf(&c, `<text class="why" x="%d" y="%d">%d more positions are not drawn; 'seawall rbac report --format json' has all paths</text>`, margin, height-margin, omitted)
	}
	c.WriteString("</svg>\n")
	return c.String()
}

// nothing is a drawing of one sentence.
func nothing(text string) string {
	var c canvas
	c.open(2*margin+max(200, 7*len(text)), 2*margin+20)
	fmt.Fprintf(&c, `<text class="label" x="%d" y="%d">%s</text></svg>`, margin, margin+14, escape(text))
	return c.String()
}

// canvas writes one drawing.
type canvas struct {
	strings.Builder
	depth int
	id    map[*box]int
	next  map[*box]*box
}

func (c *canvas) open(width, height int) {
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" class="esc" viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="Ways to cluster-admin"><style>%s</style><rect class="back" fill="#fff" width="100%%" height="100%%"/>`+"\n",
		width, height, width, height, svgStyle)
}

// place is the upper left corner of a box: the start of a path is at the left.
func (c *canvas) place(b *box) (x, y float64) {
	return float64(margin + (c.depth-b.depth)*(boxWidth+columnGap)), margin + b.y*(boxHeight+rowGap)
}

func (c *canvas) lines(b *box) {
	x, y := c.place(b)
	y += boxHeight / 2
	for _, child := range b.children {
		fromX, fromY := c.place(child)
		fromX, fromY = fromX+boxWidth, fromY+boxHeight/2
		middle := (fromX + x) / 2
		fmt.Fprintf(c, `<path data-from="%d" fill="none" stroke="#9aa7b4" stroke-width="1.5" d="M%g %gC%g %g %g %g %g %g"/>`+"\n", c.id[child], fromX, fromY, middle, fromY, middle, y, x, y)
	}
}

func (c *canvas) box(b *box) {
	x, y := c.place(b)
	next := ""
	if p := c.next[b]; p != nil {
		next = strconv.Itoa(c.id[p])
	}
	fmt.Fprintf(c, `<g class="%s" data-id="%d" data-next="%s" tabindex="0"><title>%s</title><rect class="box" fill="%s" x="%g" y="%g" width="%d" height="%d" rx="6"/>`,
		b.family(), c.id[b], next, escape(b.tooltip()), fills[b.family()], x, y, boxWidth, boxHeight)
	line := y + 17
	if b.why == "" {
		line = y + 25
	}
	fmt.Fprintf(c, `<text class="label" x="%g" y="%g">%s</text>`, x+10, line, escape(short(strings.Replace(b.label, "ServiceAccount/", "SA ", 1), labelRunes)))
	if b.why != "" {
		fmt.Fprintf(c, `<text class="why" x="%g" y="%g">%s</text>`, x+10, y+32, escape(short(b.why, whyRunes)))
	}
	c.WriteString("</g>\n")
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// short keeps the beginning and, of names, the end, which tells more.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n/2]) + "…" + string(r[len(r)-n/2+1:])
}

// DOT writes the same for Graphviz (https://graphviz.org/doc/info/lang.html).
func DOT(w io.Writer, a *rbac.Analysis) error {
	root, omitted := tree(a)
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "digraph escalation {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];")
	id := map[*box]int{}
	root.walk(func(b *box) {
		id[b] = len(id)
		fmt.Fprintf(out, "  n%d [label=%s, fillcolor=%q, tooltip=%s];\n", id[b], quote(b.label), fills[b.family()], quote(b.tooltip()))
	})
	root.walk(func(b *box) {
		for _, c := range b.children {
			var proof []string
			for _, ref := range c.proof {
				proof = append(proof, ref.String())
			}
			fmt.Fprintf(out, "  n%d -> n%d [label=%s, tooltip=%s];\n", id[c], id[b], quote(c.why), quote(strings.Join(proof, "\n")))
		}
	})
	if omitted > 0 {
		fmt.Fprintf(out, "  // %d more positions are not drawn\n", omitted)
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// quote makes a DOT string: quotes and backslashes escaped, newlines as \n.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
