package node

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// Filter adds to what is asked of a sensor what names of addresses are learned
// from, where connections are asked for.
func Filter(f seawall.EventFilter) seawall.EventFilter {
	network := func(t string) bool { return t == "connect" || t == "sendto" || t == "sendmsg" || t == "sendmmsg" }
	if f.Types == nil || !slices.ContainsFunc(f.Types, network) {
		return f
	}
	f.Types = slices.Clone(f.Types)
	for _, t := range []trace.Type{trace.Recvfrom, trace.Recvmsg, trace.Recvmmsg, trace.Read} {
		if !slices.Contains(f.Types, t.String()) {
			f.Types = append(f.Types, t.String())
		}
	}
	return f
}

// maxNames bounds the addresses whose names are remembered.
const maxNames = 4096

// names are what addresses were asked for by, as answers of name servers told, by
// network namespace: one can make up answers for itself, but not for the others.
type names struct {
	known map[place]string
	order []place // the oldest first
}

type place struct {
	netns   uint32
	address netip.Addr
}

// of is the name an address was last found by; "" is not known.
func (n *names) of(netns uint32, a netip.Addr) string {
	if len(n.known) == 0 || !a.IsValid() {
		return ""
	}
	return n.known[place{netns, a}]
}

func (n *names) add(netns uint32, a netip.Addr, name string) {
	if n.known == nil {
		n.known = map[place]string{}
	}
	key := place{netns, a}
	if _, there := n.known[key]; !there {
		if len(n.order) >= maxNames {
			delete(n.known, n.order[0])
			n.order = append(n.order[:0], n.order[1:]...)
		}
		n.order = append(n.order, key)
	}
	n.known[key] = name
}

// learn takes the addresses from an answer that was received.
func (n *names) learn(e *trace.Event) {
	if !receives(e.Type) || len(e.Payload) == 0 || e.Socket.Remote.Port() != 53 {
		return
	}
	answers(e.Payload, func(name string, a netip.Addr) { n.add(e.Task.NetNS, a, name) })
}

// maxAnswers bounds the records looked at in one message.
const maxAnswers = 64

// answers gives the addresses of an answer (RFC 1035) with the name that was asked
// for. A message that is cut gives what it has.
func answers(payload string, f func(name string, a netip.Addr)) {
	var p dnsmessage.Parser
	head, err := p.Start([]byte(payload))
	if err != nil || !head.Response {
		return
	}
	question, err := p.Question()
	if err != nil || p.SkipAllQuestions() != nil {
		return
	}
	name := strings.TrimSuffix(question.Name.String(), ".")
	for range maxAnswers {
		h, err := p.AnswerHeader()
		if err != nil {
			return
		}
		switch h.Type {
		case dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return
			}
			f(name, netip.AddrFrom4(r.A))
		case dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return
			}
			f(name, netip.AddrFrom16(r.AAAA).Unmap())
		default:
			if p.SkipAnswer() != nil {
				return
			}
		}
	}
}

// queried is the name that a message sent to a name server asks for, or that one received answers.
func (e *Event) queried() string {
	if !e.made.hasQuery {
		e.made.query, e.made.hasQuery = question(e.Payload), true
	}
	return e.made.query
}

// question is the first name asked for in a message, without the last dot.
func question(payload string) string {
	if payload == "" {
		return ""
	}
	var p dnsmessage.Parser
	if _, err := p.Start([]byte(payload)); err != nil {
		return ""
	}
	q, err := p.Question()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(q.Name.String(), ".")
}
