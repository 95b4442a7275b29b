package dockerfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Bounds of what is read: a Dockerfile is written by hand.
const (
	maxSize         = 1 << 20
	maxInstructions = 10_000
)

// file is a parsed Dockerfile.
type file struct {
	// global are the instructions before the first FROM: ARG only.
	global []instruction
	stages []stage
}

// stage is a FROM and what follows it.
type stage struct {
	from instruction
	// image is what FROM names, variables with a default filled in; name is what AS gives it, in lower case.
	image, name string
	body        []instruction
}

// instruction is one instruction with its continuation lines.
type instruction struct {
	line int
	// keyword is in upper case; onBuild is set for what follows ONBUILD.
	keyword string
	onBuild bool
	// flags are the options after the keyword: "--from=build".
	flags []string
	// text is the rest, one "\n" for each continued line.
	text string
	// textLine is the line text starts on.
	textLine int
	// exec is the JSON form, nil in shell form.
	exec     []string
	heredocs []heredoc
}

// heredoc is a here-document of an instruction.
type heredoc struct {
	name string
	line int // of its first line of text
	text string
}

// flag returns the value of an option, "" without it.
func (i *instruction) flag(name string) string {
	for _, f := range i.flags {
		if v, ok := strings.CutPrefix(f, "--"+name+"="); ok {
			return v
		}
	}
	return ""
}

// errNotDockerfile: the file has the name but no instruction.
var errNotDockerfile = errors.New("no FROM instruction")

// parse reads the format of
// https://docs.docker.com/reference/dockerfile/: parser directives, comments,
// continuation lines, here-documents, JSON forms and ONBUILD. Instructions it
// does not know are kept for a rule to name.
func parse(content []byte) (*file, error) {
	if len(content) > maxSize {
		return nil, fmt.Errorf("more than %d bytes: %w", maxSize, seawall.ErrBound)
	}
	if bytes.IndexByte(content, 0) >= 0 {
		return nil, fmt.Errorf("a zero byte in the text: %w", seawall.ErrCorrupt)
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	r := &reader{lines: strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n"), escape: '\\'}
	r.directives()
	f := &file{}
	count := 0
	for {
		ins, ok := r.next()
		if !ok {
			break
		}
		if count++; count > maxInstructions {
			return nil, fmt.Errorf("more than %d instructions: %w", maxInstructions, seawall.ErrBound)
		}
		f.add(ins)
	}
	if len(f.stages) == 0 {
		return nil, fmt.Errorf("%w: %w", errNotDockerfile, seawall.ErrCorrupt)
	}
	return f, nil
}

// add puts an instruction into its stage.
func (f *file) add(ins instruction) {
	switch {
	case ins.keyword == "FROM" && !ins.onBuild:
		s := stage{from: ins}
		words := strings.Fields(ins.text)
		if len(words) > 0 {
			s.image = f.expand(words[0])
		}
		if len(words) == 3 && strings.EqualFold(words[1], "as") {
			s.name = strings.ToLower(words[2])
		}
		f.stages = append(f.stages, s)
	case len(f.stages) == 0:
		f.global = append(f.global, ins)
	default:
		s := &f.stages[len(f.stages)-1]
		s.body = append(s.body, ins)
	}
}

var variable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?[-+]([^}]*))?\})`)
})

// expand fills in the global arguments that have a default; what has none stays as written.
func (f *file) expand(s string) string {
	return variable().ReplaceAllStringFunc(s, func(m string) string {
		parts := variable().FindStringSubmatch(m)
		name := parts[1] + parts[2]
		for i := len(f.global) - 1; i >= 0; i-- {
			if f.global[i].keyword != "ARG" {
				continue
			}
			for _, a := range assignments(f.global[i].text) {
				if a.name == name && a.value != "" {
					return a.value
				}
			}
		}
		if parts[3] != "" && strings.Contains(m, "-") {
			return parts[3]
		}
		return m
	})
}

// reader goes through the lines.
type reader struct {
	lines  []string
	at     int
	escape byte
}

// directives reads "# escape=`" and its like, which only count before anything else.
func (r *reader) directives() {
	for _, l := range r.lines {
		rest, ok := strings.CutPrefix(strings.TrimSpace(l), "#")
		key, value, isDirective := strings.Cut(rest, "=")
		if !ok || !isDirective || strings.ContainsAny(strings.TrimSpace(key), " \t") {
			return
		}
		if strings.EqualFold(strings.TrimSpace(key), "escape") && strings.TrimSpace(value) == "`" {
			r.escape = '`'
		}
	}
}

func skipped(line string) bool {
	t := strings.TrimSpace(line)
	return t == "" || t[0] == '#'
}

// next reads one instruction.
func (r *reader) next() (instruction, bool) {
	for r.at < len(r.lines) && skipped(r.lines[r.at]) {
		r.at++
	}
	if r.at >= len(r.lines) {
		return instruction{}, false
	}
	start := r.at + 1
	var b strings.Builder
	for r.at < len(r.lines) {
		line := r.lines[r.at]
		r.at++
		if b.Len() > 0 && skipped(line) {
			b.WriteByte('\n') // comments and empty lines inside a continued instruction are left out
			continue
		}
		more := strings.TrimRight(line, " \t")
		if strings.HasSuffix(more, string(r.escape)) {
			b.WriteString(strings.TrimSuffix(more, string(r.escape)))
			b.WriteByte('\n')
			continue
		}
		b.WriteString(line)
		break
	}
	ins := split(b.String(), start)
	r.heredocs(&ins)
	return ins, true
}

// split divides the text of an instruction.
func split(s string, line int) instruction {
	ins := instruction{line: line}
	rest, at := skipSpace(s, line)
	word, rest, at := cutWord(rest, at)
	ins.keyword = strings.ToUpper(word)
	if ins.keyword == "ONBUILD" {
		inner := split(rest, at)
		if inner.keyword != "" && inner.keyword != "ONBUILD" {
			inner.onBuild, inner.line = true, line
			return inner
		}
	}
	for strings.HasPrefix(rest, "--") && takesFlags(ins.keyword) {
		word, rest, at = cutWord(rest, at)
		ins.flags = append(ins.flags, word)
	}
	ins.text, ins.textLine = strings.TrimRight(rest, " \t\n"), at
	if strings.HasPrefix(ins.text, "[") {
		var words []string
		if json.Unmarshal([]byte(ins.text), &words) == nil {
			ins.exec = words
		}
	}
	return ins
}

func takesFlags(keyword string) bool {
	switch keyword {
	case "FROM", "RUN", "COPY", "ADD", "HEALTHCHECK":
		return true
	}
	return false
}

// skipSpace takes off leading white space and counts the lines in it.
func skipSpace(s string, line int) (rest string, at int) {
	rest = strings.TrimLeft(s, " \t\n")
	return rest, line + strings.Count(s[:len(s)-len(rest)], "\n")
}

func cutWord(s string, line int) (word, rest string, at int) {
	if i := strings.IndexAny(s, " \t\n"); i >= 0 {
		rest, at = skipSpace(s[i:], line)
		return s[:i], rest, at
	}
	return s, "", line
}

var heredocStart = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[^<])<<(-?)\s*(['"]?)([A-Za-z_][A-Za-z0-9_.-]*)(['"]?)`)
})

// heredocs reads the here-documents an instruction begins.
func (r *reader) heredocs(ins *instruction) {
	switch ins.keyword {
	case "RUN", "COPY", "ADD":
	default:
		return
	}
	if ins.exec != nil || !strings.Contains(ins.text, "<<") {
		return
	}
	for _, m := range heredocStart().FindAllStringSubmatch(ins.text, -1) {
		h := heredoc{name: m[3], line: r.at + 1}
		end := r.at
		for end < len(r.lines) && !endsHeredoc(r.lines[end], m[3], m[1] == "-") {
			end++
		}
		if end == len(r.lines) {
			return // no end: what looked like one is something else
		}
		h.text = strings.Join(r.lines[r.at:end], "\n")
		r.at = end + 1
		ins.heredocs = append(ins.heredocs, h)
	}
}

func endsHeredoc(line, name string, tabs bool) bool {
	if tabs {
		line = strings.TrimLeft(line, "\t")
	}
	return line == name
}

// assignment is one NAME=value of ARG, ENV or LABEL.
type assignment struct {
	name, value string
	line        int // lines below the start of the text
}

// assignments reads "A=b C='d e'", "A" (ARG) and the old "A b c" (ENV).
func assignments(text string) (out []assignment) {
	words := splitWords(text)
	if len(words) == 0 {
		return nil
	}
	if len(words) > 1 && !strings.Contains(words[0].text, "=") && !strings.Contains(words[1].text, "=") {
		_, rest, _ := cutWord(text, 0)
		return []assignment{{words[0].text, rest, 0}}
	}
	for _, w := range words {
		name, value, _ := strings.Cut(w.text, "=")
		out = append(out, assignment{name, value, w.line})
	}
	return out
}
