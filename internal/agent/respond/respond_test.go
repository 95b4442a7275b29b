package respond_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/seawall"
)

func in(namespace, id string, pid int) *seawall.Subject {
	return &seawall.Subject{PID: pid, Start: 1, Container: &seawall.Container{ID: id, Namespace: namespace}}
}

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func TestSpared(t *testing.T) {
	for name, c := range map[string]struct {
		config  respond.Config
		subject *seawall.Subject
		want    string
	}{
		"container":           {respond.Config{}, in("shop", "c", 1), ""},
		"protected":           {respond.Config{Protected: []string{"kube-*"}}, in("kube-system", "c", 1), "namespace kube-system is protected"},
		"another namespace":   {respond.Config{Protected: []string{"kube-*"}}, in("shop", "c", 1), ""},
		"no namespace":        {respond.Config{Protected: []string{"*"}}, in("", "c", 1), ""},
		"host":                {respond.Config{}, &seawall.Subject{PID: 7}, "process of the node"},
		"host, allowed":       {respond.Config{Host: true}, &seawall.Subject{PID: 7}, ""},
		"dry run":             {respond.Config{DryRun: true}, in("shop", "c", 1), "--dry-run"},
		"protected, dry run ": {respond.Config{DryRun: true, Protected: []string{"shop"}}, in("shop", "c", 1), "protected"},
	} {
		j := &respond.Judge{Config: c.config}
		v := j.Judge("kill-process", c.subject, start)
		if v.Do != (c.want == "") || !strings.Contains(v.Reason, c.want) || v.DryRun != (c.want == "--dry-run") {
			t.Errorf("%s: %+v, want %q", name, v, c.want)
		}
	}
}

func TestLimit(t *testing.T) {
	j := &respond.Judge{Config: respond.Config{Limits: map[string]respond.Limit{"isolate": {Count: 2, Per: time.Minute}}}}
	for i, c := range []struct {
		after time.Duration
		id    string
		do    bool
	}{
		{0, "a", true},
		{time.Second, "a", false}, // done already: it does not count
		{2 * time.Second, "b", true},
		{3 * time.Second, "c", false},
		{59 * time.Second, "c", false},
		{60 * time.Second, "c", true}, // the first is a minute ago
		{61 * time.Second, "d", false},
		{62 * time.Second, "d", true},
	} {
		if v := j.Judge("isolate", in("shop", c.id, i), start.Add(c.after)); v.Do != c.do {
			t.Errorf("%d: %+v", i, v)
		}
		if v := j.Judge("capture", in("shop", fmt.Sprint(i), i), start.Add(c.after)); !v.Do {
			t.Errorf("%d: another action is limited, too: %+v", i, v)
		}
	}
}

// Every process of a container is a target of its own for kill-process, a later one of the same number, too.
func TestAgain(t *testing.T) {
	j := &respond.Judge{Config: respond.Config{Limits: respond.Limits()}}
	one, other, later := in("shop", "a", 1), in("shop", "a", 2), in("shop", "a", 1)
	later.Start = 2
	for _, s := range []*seawall.Subject{one, other, later} {
		if v := j.Judge("kill-process", s, start); !v.Do {
			t.Errorf("%+v: %+v", s, v)
		}
	}
	if v := j.Judge("kill-process", one, start); v.Do || !strings.Contains(v.Reason, "already") {
		t.Errorf("%+v", v)
	}
	if v := j.Judge("kill-process", one, start.Add(time.Minute)); !v.Do {
		t.Errorf("%+v", v)
	}
	if v := j.Judge("kill-container", one, start); !v.Do {
		t.Errorf("%+v", v)
	}
	if v := j.Judge("kill-container", other, start); v.Do {
		t.Error("the same container twice")
	}
}
