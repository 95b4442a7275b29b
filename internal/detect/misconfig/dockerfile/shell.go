package dockerfile

import "strings"

// word is a word of a shell text, quotes taken off.
type word struct {
	text string
	line int // lines below the start of the text
	// operator is set for what divides commands: && || | ; & newline ( ).
	operator bool
}

// command is a simple command: no keywords, no assignments before it.
type command struct {
	words []string
	line  int
	// piped: its input is the output of the command before it.
	piped bool
	// substituted: a command inside $( ), whose output is a part of another.
	substituted bool
}

// name is the program without its directory.
func (c *command) name() string {
	return c.words[0][strings.LastIndexByte(c.words[0], '/')+1:]
}

func (c *command) args() []string { return c.words[1:] }

// has says whether one of the words is among the arguments.
func (c *command) has(words ...string) bool {
	for _, a := range c.args() {
		for _, w := range words {
			if a == w {
				return true
			}
		}
	}
	return false
}

// splitWords divides a shell text into words and operators as POSIX's shell
// grammar does, near enough to find programs and their options: expansions
// stay as written. A "\n" is white space: continued lines of an instruction.
func splitWords(s string) []word { return lex(s, false) }

// lex is splitWords; where newlines end commands (here-documents) they are operators.
func lex(s string, newlines bool) (out []word) {
	l := lexer{s: s, newlines: newlines}
	for l.at < len(s) {
		l.step()
	}
	l.flush()
	return l.out
}

type lexer struct {
	s        string
	at, line int
	newlines bool
	out      []word
	b        strings.Builder
	begun    bool
	start    int // line of the word
	quoted   byte
}

func (l *lexer) put(c byte) {
	if !l.begun {
		l.begun, l.start = true, l.line
	}
	l.b.WriteByte(c)
}

func (l *lexer) flush() {
	if l.begun {
		l.out = append(l.out, word{text: l.b.String(), line: l.start})
		l.b.Reset()
		l.begun = false
	}
}

func (l *lexer) operator(op string) {
	l.flush()
	l.out = append(l.out, word{text: op, line: l.line, operator: true})
	l.at += len(op)
}

// step takes one character, or one operator.
func (l *lexer) step() {
	c := l.s[l.at]
	switch {
	case l.quoted != 0:
		l.inQuotes(c)
		return
	case c == '\'' || c == '"':
		l.quoted = c
		if !l.begun {
			l.begun, l.start = true, l.line
		}
	case c == '\\' && l.at+1 < len(l.s):
		l.at++
		if l.s[l.at] == '\n' {
			l.line++
		} else {
			l.put(l.s[l.at])
		}
	case c == '\n':
		if l.newlines {
			l.operator("\n")
			l.at--
		}
		l.flush()
		l.line++
	case c == ' ' || c == '\t' || c == '\r':
		l.flush()
	case c == '#' && !l.begun && l.newlines:
		for l.at+1 < len(l.s) && l.s[l.at+1] != '\n' {
			l.at++
		}
	case strings.HasPrefix(l.s[l.at:], "$("):
		l.operator("$(")
		return
	case strings.HasPrefix(l.s[l.at:], "&&") || strings.HasPrefix(l.s[l.at:], "||"):
		l.operator(l.s[l.at : l.at+2])
		return
	case c == '&' && (l.at > 0 && l.s[l.at-1] == '>' || l.at+1 < len(l.s) && l.s[l.at+1] == '>'):
		l.put(c) // 2>&1, &>file
	case strings.IndexByte("|;&()`", c) >= 0:
		l.operator(string(c))
		return
	default:
		l.put(c)
	}
	l.at++
}

func (l *lexer) inQuotes(c byte) {
	switch {
	case c == l.quoted:
		l.quoted = 0
	case c == '\\' && l.quoted == '"' && l.at+1 < len(l.s) && l.s[l.at+1] != '\n':
		l.at++
		l.put(l.s[l.at])
	case l.quoted == '"' && strings.HasPrefix(l.s[l.at:], "$("):
		// The command inside decides as one outside quotes would: sh -c "$(curl …)".
		l.substitution()
	default:
		if c == '\n' {
			l.line++
		}
		l.put(c)
	}
	l.at++
}

// substitution emits the command of a quoted $( ) and stands on its last character.
func (l *lexer) substitution() {
	inner := l.s[l.at+2:]
	depth, end := 1, len(inner)
	for i := 0; i < len(inner) && depth > 0; i++ {
		switch inner[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	if depth > 0 {
		l.put('$')
		return
	}
	l.flush()
	l.out = append(l.out, word{text: "$(", line: l.line, operator: true})
	for _, w := range strings.Fields(inner[:end]) {
		l.out = append(l.out, word{text: strings.Trim(w, `'"`), line: l.line})
	}
	l.out = append(l.out, word{text: ")", line: l.line, operator: true})
	l.line += strings.Count(inner[:end], "\n")
	l.at += 2 + end
}

// keywords may stand before a command.
func shellKeyword(w string) bool {
	switch w {
	case "if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "fi", "done", "time", "exec", "command", "env", "nohup":
		return true
	}
	return false
}

// commands returns the simple commands of words.
func commands(words []word) (out []command) {
	cur := command{}
	piped, depth := false, 0
	end := func() {
		if len(cur.words) > 0 {
			out = append(out, cur)
		}
		cur = command{piped: piped, substituted: depth > 0}
	}
	for _, w := range words {
		switch {
		case w.operator:
			piped = w.text == "|"
			if w.text == "$(" {
				depth++
			} else if w.text == ")" && depth > 0 {
				end()
				depth--
				cur.substituted = depth > 0
				continue
			}
			end()
		case len(cur.words) == 0 && (shellKeyword(w.text) || isAssignment(w.text)):
		default:
			if len(cur.words) == 0 {
				cur.line = w.line
			}
			cur.words = append(cur.words, w.text)
		}
	}
	end()
	return out
}

func isAssignment(w string) bool {
	name, _, ok := strings.Cut(w, "=")
	return ok && name != "" && strings.Trim(strings.ToUpper(name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// runCommands returns the commands of a RUN with their lines in the file.
func runCommands(ins *instruction) (out []command) {
	add := func(cs []command, first int) {
		for _, c := range cs {
			c.line += first
			out = append(out, c)
		}
	}
	if ins.exec != nil {
		if len(ins.exec) == 3 && strings.HasSuffix(ins.exec[0], "sh") && ins.exec[1] == "-c" {
			add(commands(splitWords(ins.exec[2])), ins.textLine)
		} else if len(ins.exec) > 0 && ins.exec[0] != "" {
			out = append(out, command{words: ins.exec, line: ins.line})
		}
		return out
	}
	add(commands(splitWords(ins.text)), ins.textLine)
	for _, h := range ins.heredocs {
		if shellScript(ins.text, h.text) {
			add(commands(lex(h.text, true)), h.line)
		}
	}
	return out
}

// shellScript says whether a here-document is a script of the shell's: the line
// that begins it names no other program, nor does its first line.
func shellScript(line, text string) bool {
	for w := range strings.FieldsSeq(line) {
		if !strings.HasPrefix(w, "<<") {
			return strings.HasSuffix(w, "sh")
		}
	}
	first, _, _ := strings.Cut(text, "\n")
	return !strings.HasPrefix(first, "#!") || strings.Contains(first, "sh")
}
