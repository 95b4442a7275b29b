package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Outcome is how an answer came about.
type Outcome string

// The outcomes.
const (
	// OutcomeExempt: the namespace is exempt.
	OutcomeExempt Outcome = "exempt"
	// OutcomeUnasked: no policy is for the request, or it changes nothing.
	OutcomeUnasked Outcome = "unasked"
	// OutcomeAllowed and OutcomeDenied: policies judged it.
	OutcomeAllowed Outcome = "allowed"
	OutcomeDenied  Outcome = "denied"
	// OutcomeFailedOpen and OutcomeFailedClosed: it could not be judged.
	OutcomeFailedOpen   Outcome = "failed-open"
	OutcomeFailedClosed Outcome = "failed-closed"
)

// Response is the answer to a request.
type Response struct {
	Outcome Outcome
	Allowed bool
	// Code and Message are for who is denied: an HTTP status, and every violation.
	Code     int
	Message  string
	Warnings []string
	// Audit are annotations for the API server's audit log.
	Audit map[string]string
	// Patch is a JSON patch (RFC 6902); nil changes nothing.
	Patch     []byte
	Decisions []seawall.Decision
}

// reason is the status's, a word of the API.
func (r *Response) reason() string {
	if r.Outcome == OutcomeFailedClosed {
		return "ServiceUnavailable"
	}
	return "Forbidden"
}

// pass lets a request pass that nobody has to judge.
func pass(o Outcome) Response {
	return Response{Outcome: o, Allowed: true, Audit: map[string]string{"outcome": string(o)}}
}

// Decide judges a request by the policies for it. It is pure: all that is known is in
// the question.
func (q *question) decide() Response {
	return q.answer(q.set().Decide(q.in))
}

// mutate changes the request's object by the policies for it, a Pod.
func (q *question) mutate() (Response, error) {
	object, decisions := q.set().Mutate(q.in)
	resp := q.answer(decisions)
	if !resp.Allowed || len(decisions) == 0 {
		return resp, nil
	}
	patch, err := mutate.Patch(q.in.Object, object)
	if err != nil {
		return resp, fmt.Errorf("patch: %w", err)
	}
	if string(patch) != "[]" {
		resp.Patch = patch
	}
	return resp, nil
}

// answer makes a response of decisions.
func (q *question) answer(decisions []seawall.Decision) Response {
	resp := pass(OutcomeAllowed)
	resp.Decisions = decisions
	var told []*seawall.Decision
	for i := range decisions {
		d := &decisions[i]
		switch {
		case policy.Blocks(d):
		case d.Mode == policy.ModeAudit, d.Exception != "", d.Action == policy.ActionMutate && d.Outcome == policy.OutcomeEnforced:
		default:
			told = append(told, d)
		}
	}
	resp.Warnings = q.warnings(told)
	if len(decisions) > 0 {
		resp.Audit["decisions"] = annotation(decisions)
	}
	if blocks := blocking(decisions); len(blocks) > 0 {
		resp.Outcome, resp.Allowed, resp.Code = OutcomeDenied, false, http.StatusForbidden
		resp.Message = q.message(blocks)
		resp.Audit["outcome"] = string(OutcomeDenied)
	}
	return resp
}

// blocking are the decisions that deny.
func blocking(decisions []seawall.Decision) []*seawall.Decision {
	var out []*seawall.Decision
	for i := range decisions {
		if policy.Blocks(&decisions[i]) {
			out = append(out, &decisions[i])
		}
	}
	return out
}

// The API server cuts warnings of more than 256 characters, and after 4,096 in all.
const (
	maxWarning, maxWarnings = 250, 12
	maxMessage              = 8 << 10
	maxAnnotation           = 4 << 10
	// perRule is how many violations of a rule a message tells; the others it counts.
	perRule = 10
)

// warnings are decisions in lines; what several policies say of an image that nobody
// scanned is one.
func (q *question) warnings(told []*seawall.Decision) []string {
	var lines []string
	about := map[string]string{} // what several policies may say: which do
	for _, d := range told {
		if d.Rule == policy.RuleUnknownImages {
			key := d.Reason + "\x00" + d.Location.Field
			if about[key] != "" {
				about[key] += ", "
			}
			about[key] += d.Policy
		}
	}
	for _, d := range told {
		line := q.line(d.Policy+"/"+d.Rule, d)
		if d.Rule == policy.RuleUnknownImages {
			key := d.Reason + "\x00" + d.Location.Field
			policies := about[key]
			if policies == "" {
				continue // told
			}
			about[key] = ""
			if policies != d.Policy {
				line = q.line(d.Rule+" of "+policies, d)
			}
		}
		lines = append(lines, clip(line, maxWarning))
	}
	return atMost(lines, maxWarnings)
}

// line is a decision in a line, by a name for its rule.
func (q *question) line(name string, d *seawall.Decision) string {
	text := name + ": " + d.Reason
	if l := d.Location; l != nil && l.Field != "" {
		text += " (" + l.Field + ")"
	}
	return oneLine(text)
}

// message tells a developer all violations, where they are and what mends them.
func (q *question) message(blocks []*seawall.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: against %s of Seawall", q.resource(), plural(len(blocks), "rule"))
	rules := map[string]int{}
	for _, d := range blocks {
		rules[d.Policy+"/"+d.Rule]++
	}
	if len(rules) < len(blocks) {
		b.Reset()
		fmt.Fprintf(&b, "%s: %s, against %s of Seawall", q.resource(), plural(len(blocks), "violation"), plural(len(rules), "rule"))
	}
	told, left := map[string]int{}, 0
	for _, d := range blocks {
		name := d.Policy + "/" + d.Rule
		if told[name]++; told[name] > perRule {
			continue
		}
		if b.Len() > maxMessage {
			left++
			continue
		}
		b.WriteString("\n- " + clip(q.line(name, d), 1000))
		if fix := q.remedy(d); fix != "" {
			b.WriteString("\n  fix: " + clip(fix, 500))
		}
		if more := rules[name] - perRule; told[name] == perRule && more > 0 {
			fmt.Fprintf(&b, "\n- %s: and %d more", name, more)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n- and %d more", left)
	}
	return b.String()
}

// remedy is what mends a decision's first finding, where it says it.
func (q *question) remedy(d *seawall.Decision) string {
	if len(d.Findings) == 0 || q.in.Own == nil {
		return ""
	}
	i := slices.IndexFunc(q.in.Own.Findings, func(f seawall.Finding) bool { return f.ID == d.Findings[0] })
	if i < 0 {
		return ""
	}
	return oneLine(q.in.Own.Findings[i].Advice())
}

// annotation is decisions for the audit log: bounded, and without their reasons, which
// may quote objects.
func annotation(decisions []seawall.Decision) string {
	type short struct {
		Policy    string `json:"policy"`
		Rule      string `json:"rule"`
		Action    string `json:"action"`
		Outcome   string `json:"outcome"`
		Exception string `json:"exception,omitempty"`
		Count     int    `json:"count"`
	}
	var all []short
	for i := range decisions {
		d := short{decisions[i].Policy, decisions[i].Rule, decisions[i].Action, decisions[i].Outcome, decisions[i].Exception, 1}
		if j := slices.IndexFunc(all, func(o short) bool { o.Count = 1; return o == d }); j >= 0 {
			all[j].Count++
		} else {
			all = append(all, d)
		}
	}
	for {
		body, err := json.Marshal(all)
		if err != nil || len(body) <= maxAnnotation {
			return string(body)
		}
		all = all[:len(all)/2]
	}
}

// unjudged answers a request that could not be judged by the failure modes of the
// policies that are for it.
func (q *question) unjudged(why string) Response {
	var closed []string
	for _, p := range q.policies {
		if p.Closed {
			closed = append(closed, p.Name)
		}
	}
	if len(closed) == 0 {
		resp := pass(OutcomeFailedOpen)
		resp.Warnings = []string{clip("Seawall did not judge "+q.resource()+": "+why, maxWarning)}
		resp.Audit["reason"] = clip(why, maxAnnotation)
		return resp
	}
	return Response{Outcome: OutcomeFailedClosed, Code: http.StatusServiceUnavailable,
		Message: fmt.Sprintf("%s: could not be judged (%s), and must be by %s: try again", q.resource(), why, strings.Join(closed, ", ")),
		Audit:   map[string]string{"outcome": string(OutcomeFailedClosed), "reason": clip(why, maxAnnotation)}}
}

// clip cuts a text to a number of bytes, at a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func atMost(texts []string, n int) []string {
	if len(texts) <= n {
		return texts
	}
	return append(texts[:n-1:n-1], fmt.Sprintf("and %d more warnings of Seawall", len(texts)-n+1))
}

// oneLine is a text that stays in its line and does nothing to a terminal.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }), " ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}
