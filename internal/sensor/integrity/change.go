package integrity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The rules of findings.
const (
	RuleContent = "SW-FIM-001"
	RuleOwner   = "SW-FIM-002"
	RuleAdded   = "SW-FIM-003"
	RuleRemoved = "SW-FIM-004"
	RuleUnread  = "SW-FIM-005"
)

// Change is a file that is not as it was.
type Change struct {
	// Rule is what changed most: RuleContent, RuleOwner, …
	Rule string `json:"rule"`
	Path string `json:"path"`
	// What are the properties: type, content, target, mode, owner.
	What []string `json:"what,omitempty"`
	// Before and After are nil for what was not, or is not, there.
	Before *Entry `json:"before,omitempty"`
	After  *Entry `json:"after,omitempty"`
}

// Compare lists the differences of two baselines, by path. The trees of now count.
func Compare(before, now *Baseline) (out []Change) {
	i, j := 0, 0
	for i < len(before.Entries) || j < len(now.Entries) {
		switch {
		case j == len(now.Entries) || i < len(before.Entries) && before.Entries[i].Path < now.Entries[j].Path:
			out = append(out, *compare(&before.Entries[i], nil))
			i++
		case i == len(before.Entries) || now.Entries[j].Path < before.Entries[i].Path:
			out = append(out, *compare(nil, &now.Entries[j]))
			j++
		default:
			if c := compare(&before.Entries[i], &now.Entries[j]); c != nil {
				out = append(out, *c)
			}
			i, j = i+1, j+1
		}
	}
	return out
}

// compare is the change from one entry to another, nil for none. Not both are nil.
func compare(before, now *Entry) *Change {
	switch {
	case before == nil:
		return &Change{Rule: RuleAdded, Path: now.Path, After: now}
	case now == nil:
		return &Change{Rule: RuleRemoved, Path: before.Path, Before: before}
	}
	c := &Change{Path: now.Path, Before: before, After: now}
	for _, d := range []struct {
		what, rule string
		differs    bool
	}{
		{"type", RuleContent, before.Type != now.Type},
		{"content", RuleContent, before.SHA256 != now.SHA256 && before.Unread == "" && now.Unread == ""},
		{"target", RuleContent, before.Target != now.Target},
		{"mode", RuleOwner, before.Mode != now.Mode},
		{"owner", RuleOwner, before.UID != now.UID || before.GID != now.GID},
	} {
		if d.differs {
			c.What = append(c.What, d.what)
			if c.Rule == "" {
				c.Rule = d.rule
			}
		}
	}
	if c.Rule == "" && (now.Unread != "" || before.Unread != "") {
		c.Rule = RuleUnread
	}
	if c.Rule == "" {
		return nil
	}
	return c
}

// Process is who made a change.
type Process struct {
	Name, Path, CommandLine, User string
	Event                         *seawall.Event
}

// Finding tells a change on an asset; by is nil where nobody saw it.
func (c *Change) Finding(asset string, at time.Time, by *Process) seawall.Finding {
	f := seawall.Finding{
		Kind: seawall.KindIntegrity, Rule: c.Rule, Title: c.Path + " " + c.says(), Severity: c.severity(), SeveritySource: "seawall",
		Status: seawall.StatusFail, Asset: asset, Time: at.UTC().Format(time.RFC3339Nano), Count: 1, Evidence: c.evidence(),
		Location:    &seawall.Location{Path: c.Path},
		Remediation: "Find out who changed it and whether that was meant; restore it from its package or image, or take a new baseline.",
	}
	if c.Rule == RuleUnread {
		f.Status, f.Reason = seawall.StatusNotEvaluated, f.Evidence
	}
	f.Locations = []seawall.Location{*f.Location}
	if by != nil {
		f.Event = by.Event
		if by.Name != "" {
			f.Title += " by " + by.Name
		}
		f.Evidence += fmt.Sprintf("; process %s (%s) of %s: %s", by.Name, by.Path, by.User, by.CommandLine)
		f.Actor = &seawall.Actor{User: by.User}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s", asset, c.Rule, c.Path, c.evidence()))
	f.ID = hex.EncodeToString(sum[:16])
	return f
}

func (c *Change) says() string {
	switch c.Rule {
	case RuleAdded:
		return "was added"
	case RuleRemoved:
		return "was removed"
	case RuleUnread:
		return "could not be compared"
	}
	return "was changed: " + strings.Join(c.What, ", ")
}

// setID are the bits that give a program its owner's rights.
const setID = 0o6000

// severity: what runs, or starts by itself, matters more than what is read.
func (c *Change) severity() seawall.Severity {
	now := c.After
	switch {
	case c.Rule == RuleUnread:
		return seawall.SeverityUnknown
	case now != nil && now.Mode&setID != 0 && now.Type == "file" && (c.Before == nil || c.Before.Mode&setID == 0):
		return seawall.SeverityCritical
	case c.Rule == RuleOwner:
		return seawall.SeverityMedium
	case now != nil && now.Type == "directory":
		return seawall.SeverityLow
	}
	for _, part := range []string{"/bin/", "/sbin/", "/modules/", "/cron", "/systemd/", "/.ssh/", "/ssh/", "/pam.d/", "ld.so.preload", "/sudoers", "/etc/passwd", "/etc/shadow", "/kubernetes/", "/boot/"} {
		if strings.Contains(c.Path, part) {
			return seawall.SeverityHigh
		}
	}
	return seawall.SeverityMedium
}

func (c *Change) evidence() string {
	return fmt.Sprintf("before: %s; now: %s", c.Before.describe(), c.After.describe())
}

func (e *Entry) describe() string {
	switch {
	case e == nil:
		return "not there"
	case e.Unread != "":
		return e.Type + ", not read: " + e.Unread
	}
	s := fmt.Sprintf("%s %04o %d:%d", e.Type, e.Mode, e.UID, e.GID)
	if e.SHA256 != "" {
		s += fmt.Sprintf(" %d bytes sha256:%s", e.Size, e.SHA256)
	}
	if e.Target != "" {
		s += " -> " + e.Target
	}
	return s
}
