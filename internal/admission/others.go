package admission

import (
	"context"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/policy"
)

// completed adds to a denial what the policies of the other failure mode have against
// the request: where two webhooks deny, the API server tells its user what one of them
// said. Only the message is the others'; half of the time that is left is theirs.
func (h *Handler) completed(ctx context.Context, hook webhook, q *question, resp Response) Response {
	others := map[Group]Group{Open: Closed, Closed: Open}
	group, ok := others[hook.group]
	if resp.Allowed || !ok {
		return resp
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	in := h.input(q.Request)
	in.Namespace, in.Own = q.in.Namespace, q.in.Own
	other := q.snapshot.question(group, q.Request, in)
	if len(other.policies) == 0 || h.gather(ctx, other) != nil {
		return resp
	}
	other.in.Mutator = h.mutator(ctx, other)
	all := slices.Clone(resp.Decisions)
	for _, d := range other.set().Decide(other.in) {
		if policy.Blocks(&d) {
			all = append(all, d)
		}
	}
	resp.Message = q.answer(all).Message
	return resp
}
