package actor

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// RuleTwoPlaces is the rule of Credentials.
const RuleTwoPlaces = "SW-AUD-001"

// Rules explains the findings of this package.
func Rules() []detect.Rule {
	return []detect.Rule{{
		ID: RuleTwoPlaces, Title: "A service account's token is used from two addresses", Severity: seawall.SeverityHigh,
		Rationale: "A token is issued to one pod, which has one address of each family. Within an hour a second address means that somebody took the token along and is now that pod to the API server. " +
			"It is judged by the audit log, where a user's extra fields hold the token's identifier.",
		Remediation: "Delete the pod the token was issued to, which ends the token, and find out how it was read; " +
			"give pods that need no token automountServiceAccountToken: false.",
		References: []string{"https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/"},
	}}
}

// Bounds of Credentials: how many are remembered, and for how long a place counts.
const (
	maxCredentials = 1 << 16
	memory         = time.Hour
)

// Use is one request of a credential.
type Use struct {
	Time time.Time
	// Credential is the token's identifier: authentication.kubernetes.io/credential-id
	// of the user's extra fields. "" is not known, and nothing is said of it.
	Credential string
	Actor      seawall.Actor
}

// Credentials notice service accounts' tokens that are used from two addresses within an
// hour. A token is issued to one pod, which has one address of each family; a second
// one means that somebody took the token along. Addresses of a node whose pods share it
// look the same as the pod's own.
type Credentials struct {
	seen map[credentialKey]place
}

type credentialKey struct {
	id  string
	six bool
}

type place struct {
	address netip.Addr
	time    time.Time
	told    bool
}

// Observe tells of a use. It returns a finding for the first request of a token from
// another address; event and asset are the caller's to add.
func (c *Credentials) Observe(u Use) *seawall.Finding {
	if u.Credential == "" || len(u.Actor.SourceIPs) == 0 {
		return nil
	}
	address, err := netip.ParseAddr(u.Actor.SourceIPs[0])
	if err != nil || address.IsLoopback() {
		return nil
	}
	address = address.Unmap()
	if c.seen == nil || len(c.seen) >= maxCredentials {
		c.forget(u.Time)
	}
	key := credentialKey{u.Credential, address.Is6()}
	was, known := c.seen[key]
	fresh := known && u.Time.Sub(was.time) <= memory
	switch {
	case !fresh:
		c.seen[key] = place{address: address, time: u.Time}
		return nil
	case was.address == address:
		was.time = u.Time
		c.seen[key] = was
		return nil
	case was.told:
		return nil
	}
	was.told = true
	c.seen[key] = was
	rule := &Rules()[0]
	return &seawall.Finding{
		Kind: seawall.KindAudit, Rule: rule.ID, Severity: rule.Severity, SeveritySource: "seawall", Status: seawall.StatusFail,
		Title:       fmt.Sprintf("A token of %s is used from two addresses: %s and %s", u.Actor.User, was.address, address),
		Time:        u.Time.UTC().Format(time.RFC3339Nano),
		Actor:       &u.Actor,
		Evidence:    fmt.Sprintf("token %s came from %s until %s, and now from %s", u.Credential, was.address, was.time.UTC().Format(time.RFC3339), address),
		Remediation: rule.Remediation, References: rule.References,
		Tags: []string{"T1528", "T1550.001"},
	}
}

// forget makes room: what is old, else everything.
func (c *Credentials) forget(now time.Time) {
	for key, p := range c.seen {
		if now.Sub(p.time) > memory {
			delete(c.seen, key)
		}
	}
	if c.seen == nil || len(c.seen) >= maxCredentials {
		c.seen = map[credentialKey]place{}
	}
}
