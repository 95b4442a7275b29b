// Package audit holds the command audit query: who did what, from the audit logs
// of an API server.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/auditlog"
)

// Command returns "seawall audit".
func Command(env *command.Env) *cobra.Command {
	return command.Group("audit", "Who did what, from Kubernetes audit logs",
		"The audit log of an API server tells every request: who, what, from where, and the answer.\nTo judge a log by rules: seawall-agent replay FILE --source k8s_audit.",
		queryCommand(env))
}

// query is what the flags ask for.
type query struct {
	users, verbs, objects, namespaces []string
	since, until                      string
	from, to                          time.Time
	refused, writes                   bool
	format                            string
}

func queryCommand(env *command.Env) *cobra.Command {
	var q query
	cmd := &cobra.Command{
		Use:   "query FILE...",
		Short: "Search audit logs for requests",
		Long: `Query prints the requests that match every flag given; several values of one flag are
alternatives, and * stands for any text. Each request is told once, by its last stage.

FILEs are what an API server wrote: events one a line, a single event, or an EventList;
- is standard input. With several files, requests are printed file by file.

--object is a resource, with a name after a slash where one is meant, and a subresource
after the resource: secrets, secrets/db, pods/web-*, pods/exec.`,
		Example: `  seawall audit query audit.log --user 'system:serviceaccount:shop:*' --since 24h
  seawall audit query audit*.log --verb create,delete --namespace shop
  seawall audit query audit.log --object secrets --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(env); err != nil {
				return command.Usage(cmd, err)
			}
			return q.run(cmd, env, args)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&q.users, "user", nil, "who asked, or as whom: names with *")
	flags.StringSliceVar(&q.verbs, "verb", nil, "get, list, watch, create, update, patch, delete, deletecollection")
	flags.StringSliceVar(&q.objects, "object", nil, "what was asked for: RESOURCE[/NAME], with *")
	flags.StringSliceVarP(&q.namespaces, "namespace", "n", nil, "in which namespaces, with *")
	flags.StringVar(&q.since, "since", "", "not before: a time (RFC 3339), a day (2026-11-21), or how long ago (90m, 24h, 7d)")
	flags.StringVar(&q.until, "until", "", "not after, as --since")
	flags.BoolVar(&q.refused, "refused", false, "only what was not allowed (401, 403)")
	flags.BoolVar(&q.writes, "writes", false, "only what changes something")
	command.AddFormat(cmd, &q.format, "table", "json", "jsonl")
	_ = cmd.RegisterFlagCompletionFunc("verb", command.FixedCompletion("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"))
	return cmd
}

func (q *query) check(env *command.Env) error {
	if !slices.Contains([]string{"table", "json", "jsonl"}, q.format) {
		return fmt.Errorf("unknown format %q (want table, json or jsonl)", q.format)
	}
	var err error
	if q.from, err = moment(env, q.since); err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	if q.to, err = moment(env, q.until); err != nil {
		return fmt.Errorf("--until: %w", err)
	}
	return nil
}

// moment reads a time, a day, or how long ago.
func moment(env *command.Env, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	var days int
	if rest, ok := strings.CutSuffix(s, "d"); ok {
		if _, err := fmt.Sscanf(rest+"\n", "%d\n", &days); err == nil && days >= 0 {
			return env.Now().AddDate(0, 0, -days), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q: want a time (2026-11-21T09:00:00Z), a day (2026-11-21) or how long ago (90m, 24h, 7d)", s)
	}
	return env.Now().Add(-d), nil
}

// request is one line of the answer: its JSON form is a contract.
type request struct {
	Time        string   `json:"time"`
	User        string   `json:"user"`
	As          string   `json:"as,omitempty"`
	Groups      []string `json:"groups,omitempty"`
	Verb        string   `json:"verb"`
	Resource    string   `json:"resource,omitempty"`
	Subresource string   `json:"subresource,omitempty"`
	Namespace   string   `json:"namespace,omitempty"`
	Name        string   `json:"name,omitempty"`
	URI         string   `json:"uri"`
	Code        int      `json:"code,omitempty"`
	SourceIPs   []string `json:"sourceIPs,omitempty"`
	UserAgent   string   `json:"userAgent,omitempty"`
	AuditID     string   `json:"auditID,omitempty"`
}

func (q *query) run(cmd *cobra.Command, env *command.Env, files []string) error {
	out := newPrinter(env.Stdout, q.format)
	damaged := 0
	for _, name := range files {
		in, label := io.NopCloser(env.Stdin), "standard input"
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
			}
			in, label = f, name
		}
		err := auditlog.Read(cmd.Context(), in, func(e *auditlog.Entry) error {
			if r := describe(e); last(e) && q.matches(e, r) {
				return out.print(r)
			}
			return nil
		}, func(d *auditlog.Damaged) error {
			if damaged++; damaged <= 3 {
				fmt.Fprintf(env.Stderr, "seawall: %s: %s\n", command.Printable(label), command.Printable(d.Error()))
			}
			return nil
		})
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	if damaged > 3 {
		fmt.Fprintf(env.Stderr, "seawall: %d further lines could not be read\n", damaged-3)
	}
	return out.close()
}

// last says whether a request's entry is the one to tell: of connections that
// stay open for long, that is when they open.
func last(e *auditlog.Entry) bool {
	open := e.ResponseStatus != nil && e.ResponseStatus.Code == 101
	return e.Stage == "ResponseStarted" && open || e.Stage == "ResponseComplete" && !open || e.Stage == "Panic"
}

func describe(e *auditlog.Entry) request {
	r := request{
		Time: e.Time().UTC().Format(time.RFC3339Nano), User: e.User.Username, Groups: e.User.Groups, Verb: e.Verb, URI: e.RequestURI,
		SourceIPs: e.SourceIPs, UserAgent: e.UserAgent, AuditID: e.AuditID,
	}
	if o := e.ObjectRef; o != nil {
		r.Resource, r.Subresource, r.Namespace, r.Name = o.Resource, o.Subresource, o.Namespace, o.Name
	}
	if e.ImpersonatedUser != nil {
		r.As = e.ImpersonatedUser.Username
	}
	if e.ResponseStatus != nil {
		r.Code = e.ResponseStatus.Code
	}
	return r
}

func (q *query) matches(e *auditlog.Entry, r request) bool {
	t := e.Time()
	switch {
	case !q.from.IsZero() && t.Before(q.from), !q.to.IsZero() && t.After(q.to):
		return false
	case q.refused && r.Code != 401 && r.Code != 403:
		return false
	case q.writes && slices.Contains([]string{"get", "list", "watch", "head", "options"}, r.Verb):
		return false
	}
	return among(q.users, r.User, r.As) && among(q.verbs, r.Verb) && among(q.namespaces, r.Namespace) &&
		among(q.objects, r.Resource, r.Resource+"/"+r.Name, r.Resource+"/"+r.Subresource)
}

// among says whether one of the patterns is about one of the texts; no patterns are about all.
func among(patterns []string, texts ...string) bool {
	for _, p := range patterns {
		if slices.ContainsFunc(texts, func(t string) bool { return t != "" && matches(p, t) }) {
			return true
		}
	}
	return len(patterns) == 0
}

// matches compares with a pattern in which * stands for any text, slashes included.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// printer writes requests as they are found.
type printer struct {
	w      io.Writer
	format string
	n      int
}

func newPrinter(w io.Writer, format string) *printer { return &printer{w: w, format: format} }

func (p *printer) print(r request) error {
	p.n++
	if p.format != "table" {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		before := ""
		if p.format == "json" {
			before = ",\n  "
			if p.n == 1 {
				before = "{\"requests\": [\n  "
			}
		}
		_, err = fmt.Fprintf(p.w, "%s%s%s", before, raw, map[bool]string{true: "\n"}[p.format == "jsonl"])
		return err
	}
	if p.n == 1 {
		fmt.Fprintf(p.w, "%-20s %-4s %-28s %-7s %s\n", "TIME", "CODE", "USER", "VERB", "OBJECT")
	}
	object := cmp.Or(r.Resource, r.URI)
	if r.Subresource != "" {
		object += "/" + r.Subresource
	}
	if r.Namespace+r.Name != "" {
		object += " " + strings.Trim(r.Namespace+"/"+r.Name, "/")
	}
	user := r.User
	if r.As != "" {
		user += " as " + r.As
	}
	when, _, _ := strings.Cut(r.Time, ".")
	if len(r.SourceIPs) > 0 {
		object += " from " + strings.Join(r.SourceIPs, ", ")
	}
	_, err := fmt.Fprintf(p.w, "%-20s %-4d %-28s %-7s %s\n", strings.TrimSuffix(when, "Z")+"Z", r.Code, command.Printable(user), r.Verb, command.Printable(object))
	return err
}

func (p *printer) close() error {
	var err error
	switch {
	case p.format == "json" && p.n == 0:
		_, err = fmt.Fprintln(p.w, `{"requests": []}`)
	case p.format == "json":
		_, err = fmt.Fprintln(p.w, "\n]}")
	}
	return err
}
