package syntax_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/rules/syntax"
)

// write is an expression in Polish notation, so that precedence shows.
func write(e syntax.Expr) string {
	list := func(name string, terms []syntax.Expr) string {
		var out []string
		for _, t := range terms {
			out = append(out, write(t))
		}
		return name + "(" + strings.Join(out, " ") + ")"
	}
	switch e := e.(type) {
	case *syntax.And:
		return list("and", e.Terms)
	case *syntax.Or:
		return list("or", e.Terms)
	case *syntax.Not:
		return "not(" + write(e.Term) + ")"
	case *syntax.Macro:
		return e.Name
	case *syntax.Check:
		s := "<" + e.Left.String() + "|" + e.Operator
		for _, r := range e.Right {
			s += "|" + r.String()
		}
		return s + ">"
	}
	return fmt.Sprintf("%T", e)
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"a and b or not c and d":                        "or(and(a b) and(not(c) d))",
		"not not (a or b)":                              "not(not(or(a b)))",
		"not(a)":                                        "not(a)",
		"proc.name=nginx":                               "<proc.name|=|nginx>",
		"proc.name == nginx":                            "<proc.name|=|nginx>",
		"fd.sport>=1024 and fd.sport < 2000":            "and(<fd.sport|>=|1024> <fd.sport|<|2000>)",
		"proc.pname in (runc:[0:PARENT], sh, 'a b')":    "<proc.pname|in|runc:[0:PARENT]|sh|a b>",
		"proc.name in ()":                               "<proc.name|in>",
		"proc.name in (shells)":                         "<proc.name|in|shells>",
		"proc.aname[2] exists":                          "<proc.aname[2]|exists>",
		`container.mount.dest[/var/run/*] != "N/A"`:     "<container.mount.dest[/var/run/*]|!=|N/A>",
		`jevt.value["/a b"] = x`:                        "<jevt.value[/a b]|=|x>",
		"tolower(proc.name) = sh":                       "<tolower(proc.name)|=|sh>",
		"b64(tolower(proc.args)) contains x":            "<b64(tolower(proc.args))|contains|x>",
		"proc.name = val(proc.pname)":                   "<proc.name|=|proc.pname>",
		"proc.name = tolower(proc.pname)":               "<proc.name|=|tolower(proc.pname)>",
		`proc.cmdline contains "say \"hi\" \\ \n"`:      `<proc.cmdline|contains|say "hi" \ \n>`,
		"(a)\nand\t(b)":                                 "and(a b)",
		"evt.arg.flags intersects (A,B)":                "<evt.arg.flags|intersects|A|B>",
		"fd.name pmatch (/etc,/usr) and android_macro":  "and(<fd.name|pmatch|/etc|/usr> android_macro)",
		"fd.name glob /proc/*/environ":                  "<fd.name|glob|/proc/*/environ>",
		"proc.cmdline regex '^a(b|c)$'":                 "<proc.cmdline|regex|^a(b|c)$>",
		"evt.buffer bcontains cafebabe or inside and x": "or(<evt.buffer|bcontains|cafebabe> and(inside x))",
	} {
		e, err := syntax.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := write(e); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]struct {
		at   int
		text string
	}{
		"":                          {0, "want a field"},
		"a and":                     {5, "want a field"},
		"(a or b":                   {7, "not closed"},
		"a b":                       {2, `unexpected "b"`},
		"proc.name nginx":           {10, "want an operator"},
		"proc.name =":               {11, "ends where a value"},
		"proc.name in (a b)":        {16, "want , or )"},
		`proc.name = "x`:            {12, "no closing"},
		"proc.aname[2 = x":          {11, "does not end with ]"},
		"lower(proc.name) = x":      {0, "unknown transformer"},
		"tolower(proc.name = x":     {18, "not closed"},
		"proc.name = a and or b":    {18, "want a field"},
		strings.Repeat("(", 200):    {101, "more than 100"},
		strings.Repeat("not ", 200): {404, "more than 100"},
	} {
		_, err := syntax.Parse(text)
		var e *syntax.Error
		if !errors.As(err, &e) || e.At != want.at || !strings.Contains(e.Text, want.text) {
			t.Errorf("%.30s: %#v, want %d: …%s…", text, err, want.at, want.text)
		}
	}
}

// FuzzParse: a condition or a mistake within the text, never both, never a panic.
func FuzzParse(f *testing.F) {
	f.Add("evt.type in (open, openat) and not proc.name = \"x\" or tolower(fd.name) glob '/a*'")
	f.Add("a.b[c")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := syntax.Parse(text)
		var mistake *syntax.Error
		switch {
		case err == nil:
			if e == nil || e.Offset() > len(text) {
				t.Errorf("no expression, or one outside of the text")
			}
		case !errors.As(err, &mistake) || mistake.At < 0 || mistake.At > len(text):
			t.Errorf("error %v", err)
		}
	})
}
