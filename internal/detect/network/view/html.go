package view

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
)

//go:embed page.tmpl
var pageText string

//go:embed style.css
var styleText string

//go:embed app.js
var scriptText string

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// payload is the page's data. Ports are numbers into Sets; of a source's row
// the pairs are a number and how many workloads in turn it is for.
type payload struct {
	Namespaces []string   `json:"namespaces"`
	Workloads  []workload `json:"workloads"`
	Sets       []string   `json:"sets"`
	Rows       [][]int    `json:"rows"`
}

type workload struct {
	Namespace int    `json:"n"`
	Kind      string `json:"k"`
	Name      string `json:"w"`
	Row       int    `json:"r"`
	// In and Out say that policies isolate its pods.
	In      bool        `json:"i,omitempty"`
	Out     bool        `json:"o,omitempty"`
	Host    bool        `json:"h,omitempty"`
	Outside [][2]string `json:"e,omitempty"` // addresses and ports it can reach
	Ways    [][2]string `json:"x,omitempty"` // chains from outside and the ports they lead to
}

// content is what the template shows without script.
type content struct {
	Policy                    string
	Style                     template.CSS
	Script, Data              template.JS
	Assumptions, Problems     []string
	Workloads, Namespaces     int
	Open, Reachable, Policies int
}

// HTML writes the graph as one page that needs no network: namespaces and workloads,
// what each can reach and be reached by, on which ports.
func HTML(w io.Writer, m *reach.Model) error {
	p := payloadOf(m)
	data, err := json.Marshal(p) // escapes <, > and &, so no </script> can appear
	if err != nil {
		return err
	}
	c := content{
		Style: template.CSS(styleText), Script: template.JS(scriptText), Data: template.JS(data), Assumptions: m.Assumptions, Problems: m.Problems,
		Workloads: len(p.Workloads), Namespaces: len(p.Namespaces), Policies: len(m.Policies) + len(m.Admin),
		Policy: fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'", hashSource(styleText), hashSource(scriptText)),
	}
	for i := range p.Workloads {
		if !p.Workloads[i].In {
			c.Open++
		}
		if len(p.Workloads[i].Ways) > 0 {
			c.Reachable++
		}
	}
	out := bufio.NewWriter(w)
	if err := page().Execute(out, c); err != nil {
		return err
	}
	return out.Flush()
}

func payloadOf(m *reach.Model) payload {
	p := payload{Namespaces: []string{}, Workloads: []workload{}, Sets: []string{}, Rows: [][]int{}}
	ways := map[string][][2]string{}
	for _, e := range m.Exposures() {
		ways[e.Workload.ID()] = append(ways[e.Workload.ID()], [2]string{strings.Join(e.Chain, " → "), e.Ports.String()})
	}
	numbers, rows := map[portset.ID]int{}, map[string]int{}
	for _, w := range m.Workloads {
		if n := len(p.Namespaces); n == 0 || p.Namespaces[n-1] != w.Namespace {
			p.Namespaces = append(p.Namespaces, w.Namespace)
		}
		one := workload{
			Namespace: len(p.Namespaces) - 1, Kind: w.Kind, Name: w.Name, Host: w.Host(), Ways: ways[w.ID()],
			In: m.Isolated(w, reach.Ingress), Out: m.Isolated(w, reach.Egress),
		}
		for _, o := range m.Outside(w, reach.Egress) {
			one.Outside = append(one.Outside, [2]string{o.Addresses.String(), o.Ports.String()})
		}
		one.Row = p.row(m, w, numbers, rows)
		p.Workloads = append(p.Workloads, one)
	}
	return p
}

// row adds what one workload can reach; workloads that reach the same share one.
func (p *payload) row(m *reach.Model, src *reach.Workload, numbers map[portset.ID]int, rows map[string]int) int {
	var row []int
	for _, dst := range m.Workloads {
		n := m.PortsID(src, dst)
		at, ok := numbers[n]
		if !ok {
			at = len(p.Sets)
			numbers[n] = at
			p.Sets = append(p.Sets, m.Set(n).String())
		}
		if k := len(row); k > 0 && row[k-2] == at {
			row[k-1]++
		} else {
			row = append(row, at, 1)
		}
	}
	key := fmt.Sprint(row)
	at, ok := rows[key]
	if !ok {
		at = len(p.Rows)
		rows[key] = at
		p.Rows = append(p.Rows, row)
	}
	return at
}

func hashSource(text string) string {
	h := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}
