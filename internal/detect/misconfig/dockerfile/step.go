package dockerfile

import "strings"

// Breach is a rule a build step breaks.
type Breach struct {
	Rule, Evidence string
}

// Step judges one build step of an image's history, written as a Dockerfile
// line ("RUN apt-get update", "ADD https://… /x"). Steps that are no such line
// break nothing.
func Step(text string) (out []Breach) {
	ins := split(strings.ReplaceAll(text, "\n", " "), 1)
	l := &linter{file: &file{}}
	switch ins.keyword {
	case "RUN":
		l.run(&ins)
	case "ADD":
		l.copies(&ins)
	}
	for _, b := range l.breaches {
		out = append(out, Breach{b.rule, b.evidence})
	}
	return out
}
