package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/secret/live"
	"github.com/seawall-security/seawall/internal/detect/secret/needle"
)

// engine is all rules made ready to search. It does not change after newEngine.
type engine struct {
	rules    []*rule
	byID     map[string]*rule
	context  []*rule // those of assignments
	needles  needle.Set
	actions  []action // by needle
	custom   []*customRule
	version  int
	verifier *live.Verifier
}

// action is what to do where a needle was found.
type action struct {
	kind    actionKind
	rule    *rule
	pattern *pattern
	length  int
}

type actionKind uint8

const (
	actToken actionKind = iota
	actAssignment
	actPEM
	actPuTTY
	actURL
	actHeader
)

// assignmentWords are in the names of variables that hold secrets.
var assignmentWords = []string{
	"passw", "passphrase", "_pass", "-pass", "pwd", "secret", "token", "apikey", "api_key", "api-key", "access_key", "access-key", "accesskey",
	"auth_key", "authkey", "private_key", "privatekey", "encryption_key", "encryptionkey", "signing_key", "signingkey", "master_key", "masterkey", "account_key",
	"accountkey", "storage_key", "shared_key", "sharedkey", "credential", "app_key", "appkey", "_auth", "\"auth\"", "service_key", "license_key",
	"client-key-data", "_dsn", "presharedkey", "api_hash", "_sk", "x-api",
}

func newEngine(extra []*customRule) (*engine, error) {
	rules, err := builtin()
	if err != nil {
		return nil, err
	}
	e := &engine{rules: rules, byID: map[string]*rule{}, custom: extra}
	for _, r := range rules {
		e.byID[r.ID] = r
		if len(r.values) > 0 {
			e.context = append(e.context, r)
		}
		for _, p := range r.tokens {
			e.add(p.literal, false, action{kind: actToken, rule: r, pattern: p})
		}
	}
	for _, w := range assignmentWords {
		e.add(w, true, action{kind: actAssignment})
	}
	e.add("-----BEGIN ", false, action{kind: actPEM})
	e.add("PuTTY-User-Key-File-", false, action{kind: actPuTTY})
	e.add("://", false, action{kind: actURL})
	e.add("basic ", true, action{kind: actHeader})
	e.add("bearer ", true, action{kind: actHeader})
	e.version = versionOf(rulesText, extra)
	return e, nil
}

func (e *engine) add(text string, fold bool, a action) {
	a.length = len(text)
	e.actions = append(e.actions, a)
	e.needles.Add(text, fold, len(e.actions)-1)
}

// formatVersion changes whenever the code finds other things by the same rules.
const formatVersion = "4"

func versionOf(text string, extra []*customRule) int {
	h := sha256.New()
	h.Write([]byte(formatVersion))
	h.Write([]byte(text))
	for _, c := range extra {
		fmt.Fprintf(h, "\x00%s", c.source)
	}
	sum := h.Sum(nil)
	return int(sum[0])<<24 | int(sum[1])<<16 | int(sum[2])<<8 | int(sum[3])
}

// fingerprintKey keys the hashes secrets are compared by. It is the same
// everywhere, so that reports of different machines can be compared; it keeps
// the hashes from being looked up in tables made for plain SHA-256.
const fingerprintKey = "seawall/secret/v1"

// fingerprint is a keyed hash of a secret, cut to 64 bits.
func fingerprint(value []byte) string {
	h := hmac.New(sha256.New, []byte(fingerprintKey))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// redact describes a secret without giving it away: its first characters, never
// more than a sixth of it and at most four unless they are the vendor's own prefix, and its length.
func redact(name string, value []byte, prefix int) string {
	show := min(len(value)/6, 4)
	if prefix > show && prefix <= len(value)/3 {
		show = min(prefix, 12)
	}
	var b strings.Builder
	if name != "" {
		b.WriteString(name)
		b.WriteString(" = ")
	}
	for _, c := range value[:show] {
		if c > ' ' && c <= '~' {
			b.WriteByte(c)
		}
	}
	fmt.Fprintf(&b, "… (%d characters, hash %s)", len(value), fingerprint(value))
	return b.String()
}
