package secret

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

//go:embed rules.txt
var rulesText string

// rule is one type of credential.
type rule struct {
	detect.Rule
	vendor   string
	tokens   []*pattern
	contexts []string // lower case: one must be in the name, line or file name of an assignment
	values   []*pattern
	check    string
	entropy  float64
}

// The rules that are found by more than a pattern.
const (
	ruleGeneric      = "SW-SEC-001"
	rulePassword     = "SW-SEC-002"
	ruleHeader       = "SW-SEC-003"
	ruleURL          = "SW-SEC-004"
	ruleConnection   = "SW-SEC-005"
	rulePrivateKey   = "SW-SEC-430"
	ruleOpenSSH      = "SW-SEC-431"
	rulePGP          = "SW-SEC-432"
	ruleEncryptedKey = "SW-SEC-433"
	rulePuTTY        = "SW-SEC-434"
	ruleDockerAuth   = "SW-SEC-451"
	ruleKubeconfig   = "SW-SEC-452"
	ruleTerraform    = "SW-SEC-453"
	ruleGoogleKey    = "SW-SEC-454"
	ruleNetrc        = "SW-SEC-455"
	rulePgpass       = "SW-SEC-456"
	ruleShadow       = "SW-SEC-457"
	ruleHtpasswd     = "SW-SEC-458"
)

// vendor says where a vendor's tokens are revoked.
type vendor struct{ reference, revoke string }

// builtin returns Seawall's own rules in the order of rules.txt.
func builtin() ([]*rule, error) {
	vendors := map[string]vendor{}
	var rules []*rule
	number := 0
	for line := range strings.Lines(rulesText) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, " |")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if line[0] == '@' && len(fields) == 3 {
			vendors[strings.TrimPrefix(fields[0], "@")] = vendor{fields[1], fields[2]}
			continue
		}
		r, err := parseRule(fields, vendors)
		if err != nil {
			return nil, fmt.Errorf("rules.txt:%d: %w", number, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(fields []string, vendors map[string]vendor) (*rule, error) {
	for len(fields) < 7 {
		fields = append(fields, "")
	}
	if len(fields) != 7 {
		return nil, fmt.Errorf("%d fields", len(fields))
	}
	severity, err := seawall.ParseSeverity(fields[1])
	if err != nil {
		return nil, err
	}
	v, ok := vendors[fields[2]]
	if !ok {
		return nil, fmt.Errorf("vendor %q is not described", fields[2])
	}
	r := &rule{vendor: fields[2]}
	r.Rule = detect.Rule{
		ID: "SW-SEC-" + fields[0], Title: title(fields[2], fields[3]), Severity: severity,
		Rationale:   rationale,
		Remediation: "Treat it as known to others: " + v.revoke + ". Rebuild without it (removing the file in a later layer does not remove it) and hand it in at run time.",
		References:  []string{v.reference},
	}
	if r.tokens, err = compileAll(strings.Fields(strings.ReplaceAll(fields[4], `\ `, "\x00")), false); err != nil {
		return nil, err
	}
	if contexts, values, ok := strings.Cut(fields[5], "=>"); ok {
		r.contexts = strings.Split(strings.TrimSpace(contexts), ",")
		if r.values, err = compileAll(strings.Fields(values), true); err != nil {
			return nil, err
		}
	}
	for _, option := range strings.Fields(fields[6]) {
		switch name, value, _ := strings.Cut(option, "="); name {
		case "check":
			r.check = value
		case "entropy":
			if r.entropy, err = strconv.ParseFloat(value, 64); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("option %q", option)
		}
	}
	return r, nil
}

const rationale = "Whoever can read the image or the repository can use the credential, and copies of both are kept in registries, caches and clones long after it was removed."

// title joins vendor and kind, without a vendor that is only a family.
func title(vendor, kind string) string {
	switch vendor {
	case "Generic", "Private key", "Database", "Token", "Credential file":
		return strings.ToUpper(kind[:1]) + kind[1:]
	}
	return vendor + " " + kind
}

func compileAll(texts []string, whole bool) (patterns []*pattern, err error) {
	for _, t := range texts {
		p, err := compile(strings.ReplaceAll(t, "\x00", `\ `), whole)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}
