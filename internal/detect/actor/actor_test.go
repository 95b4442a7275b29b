package actor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect/actor"
	"github.com/seawall-security/seawall/internal/seawall"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func request(user string, at time.Duration, command ...string) actor.Request {
	return actor.Request{Time: noon.Add(at), Namespace: "shop", Pod: "web-1", Command: command, Actor: seawall.Actor{User: user}}
}

func process(pid int, at time.Duration, args ...string) actor.Process {
	return actor.Process{
		Time: noon.Add(at), ID: seawall.ProcessID{PID: pid, Start: uint64(pid)}, Args: args,
		Container: &seawall.Container{ID: "c1", Name: "app", Namespace: "shop", Pod: "web-1"},
	}
}

// subject is a process below others, the nearest parent first.
func subject(pid int, parents ...int) *seawall.Subject {
	s := &seawall.Subject{PID: pid, Start: uint64(pid)}
	for _, p := range parents {
		s.Lineage = append(s.Lineage, seawall.ProcessID{PID: p, Start: uint64(p)})
	}
	return s
}

func user(a *seawall.Actor) string {
	if a == nil {
		return ""
	}
	return a.User
}

func TestSessions(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		tell func(*actor.Sessions)
		want string // who is behind process 10
	}{
		"the request first": {func(x *actor.Sessions) { x.Request(request("ann", 0, "sh")); x.Process(process(10, s, "sh")) }, "ann"},
		"the process first": {func(x *actor.Sessions) { x.Process(process(10, 0, "sh")); x.Request(request("ann", s, "sh")) }, "ann"},
		"a batch half a minute late": {func(x *actor.Sessions) {
			x.Process(process(10, 0, "sh"))
			x.Process(process(11, 30*s, "ls"))
			x.Request(request("ann", -s, "sh"))
		}, "ann"},
		"another command": {func(x *actor.Sessions) { x.Request(request("ann", 0, "sh")); x.Process(process(10, s, "bash")) }, ""},
		"arguments that were cut": {func(x *actor.Sessions) {
			x.Request(request("ann", 0, "sh", "-c", "a very long text"))
			x.Process(process(10, s, "sh", "-c"))
		}, "ann"},
		"more arguments than asked": {func(x *actor.Sessions) {
			x.Request(request("ann", 0, "sh"))
			x.Process(process(10, s, "sh", "-c", "x"))
		}, ""},
		"no arguments known":       {func(x *actor.Sessions) { x.Request(request("ann", 0, "sh")); x.Process(process(10, s)) }, ""},
		"too late":                 {func(x *actor.Sessions) { x.Request(request("ann", 0, "sh")); x.Process(process(10, 61*s, "sh")) }, ""},
		"long before":              {func(x *actor.Sessions) { x.Process(process(10, 0, "sh")); x.Request(request("ann", 5*s, "sh")) }, ""},
		"an attach starts nothing": {func(x *actor.Sessions) { x.Request(request("ann", 0)); x.Process(process(10, s, "sh")) }, ""},
		"another pod": {func(x *actor.Sessions) {
			r := request("ann", 0, "sh")
			r.Pod = "web-2"
			x.Request(r)
			x.Process(process(10, s, "sh"))
		}, ""},
		"another container": {func(x *actor.Sessions) {
			r := request("ann", 0, "sh")
			r.Container = "sidecar"
			x.Request(r)
			x.Process(process(10, s, "sh"))
		}, ""},
		"a process of the host": {func(x *actor.Sessions) {
			p := process(10, s, "sh")
			p.Container = nil
			x.Request(request("ann", 0, "sh"))
			x.Process(p)
		}, ""},
		"two who ask the same": {func(x *actor.Sessions) {
			x.Request(request("ann", 0, "sh"))
			x.Request(request("bob", s, "sh"))
			x.Process(process(9, s, "sh"))
			x.Process(process(10, 2*s, "sh"))
		}, "bob"},
		"one request, two processes": {func(x *actor.Sessions) {
			x.Request(request("ann", 0, "sh"))
			x.Process(process(9, s, "sh"))
			x.Process(process(10, 2*s, "sh"))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var x actor.Sessions
			test.tell(&x)
			if got := user(x.Actor(subject(10))); got != test.want {
				t.Errorf("behind the process is %q, want %q", got, test.want)
			}
			if got := user(x.Actor(subject(12, 11, 10, 1))); got != test.want {
				t.Errorf("behind its grandchild is %q, want %q", got, test.want)
			}
			if got := user(x.Actor(subject(13, 1))); got != "" {
				t.Errorf("behind a stranger is %q", got)
			}
			again := subject(10)
			again.Start++
			if got := user(x.Actor(again)); got != "" {
				t.Errorf("behind a later process of the same number is %q", got)
			}
		})
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var x actor.Sessions
	for i := range 10_000 {
		x.Request(request(fmt.Sprint("user", i), 0, "sh", fmt.Sprint(i)))
		x.Process(process(i+1, 0, "sh", fmt.Sprint(i)))
	}
	if got := user(x.Actor(subject(10_000))); got != "user9999" {
		t.Errorf("behind the newest is %q", got)
	}
	if got := user(x.Actor(subject(1))); got != "" {
		t.Errorf("the oldest is still known: %q", got)
	}
}

func use(credential, ip string, at time.Duration) actor.Use {
	return actor.Use{Time: noon.Add(at), Credential: credential, Actor: seawall.Actor{User: "system:serviceaccount:shop:web", SourceIPs: []string{ip}}}
}

func TestCredentials(t *testing.T) {
	const m = time.Minute
	for name, test := range map[string]struct {
		uses []actor.Use
		want int
	}{
		"from one address":         {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "10.0.0.1", m)}, 0},
		"from two":                 {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "192.0.2.7", m)}, 1},
		"told once":                {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "192.0.2.7", m), use("JTI=1", "192.0.2.7", 2*m), use("JTI=1", "10.0.0.1", 3*m)}, 1},
		"two tokens":               {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=2", "192.0.2.7", m)}, 0},
		"both families of a pod":   {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "fd00::1", m)}, 0},
		"the same, written longer": {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "::ffff:10.0.0.1", m)}, 0},
		"hours apart":              {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "192.0.2.7", 61*m)}, 0},
		"the server's own":         {[]actor.Use{use("JTI=1", "10.0.0.1", 0), use("JTI=1", "127.0.0.1", m)}, 0},
		"no identifier":            {[]actor.Use{use("", "10.0.0.1", 0), use("", "192.0.2.7", m)}, 0},
		"no address":               {[]actor.Use{use("JTI=1", "10.0.0.1", 0), {Time: noon, Credential: "JTI=1"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var c actor.Credentials
			got := 0
			for _, u := range test.uses {
				if f := c.Observe(u); f != nil {
					got++
					if f.Rule != actor.RuleTwoPlaces || f.Actor.User != u.Actor.User || f.Status != seawall.StatusFail {
						t.Errorf("finding %+v", f)
					}
				}
			}
			if got != test.want {
				t.Errorf("%d findings, want %d", got, test.want)
			}
		})
	}
}
