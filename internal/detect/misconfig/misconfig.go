// Package misconfig holds what the detectors of dangerous configuration share.
// Its children judge one kind of input each: image configurations (image) and
// Dockerfiles (dockerfile). Rules are data: a table of detect.Rule per child,
// and code that names the rule it found broken.
package misconfig

import (
	"regexp"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Finding begins a failing finding of a rule.
func Finding(r *detect.Rule, evidence string) seawall.Finding {
	return seawall.Finding{
		Kind: seawall.KindMisconfiguration, Rule: r.ID, Title: r.Title,
		Severity: r.Severity, SeveritySource: "seawall", Status: seawall.StatusFail,
		Evidence: evidence, Remediation: r.Remediation, References: r.References, Frameworks: r.Frameworks,
	}
}

// secretWords are the endings of names that hold credentials, as words divided
// by "_", "-" or a change of case.
var secretWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(^|[_.-])(passw(or)?d|passphrase|pwd|secret|token|api_?key|access_?key(_?id)?|secret_?key|private_?key|auth_?key|encryption_?key|signing_?key|credentials?|client_?secret)$`)
})

// NamesSecret says whether a variable of this name with this value looks like
// a credential. The value decides against it when it is empty, a reference to
// another variable, a path, an address without credentials, a switch or a short
// number: PASSWORD_FILE=/run/secrets/x holds none.
func NamesSecret(name, value string) bool {
	return SecretName(name) && holdsValue(value)
}

// SecretName says whether a name is one given to credentials.
func SecretName(name string) bool {
	return secretWords().MatchString(name) && !strings.EqualFold(name, "pwd") && !strings.EqualFold(name, "oldpwd") &&
		!strings.Contains(strings.ToLower(name), "public")
}

func holdsValue(v string) bool {
	v = strings.Trim(v, `"'`)
	switch strings.ToLower(v) {
	case "", "true", "false", "yes", "no", "on", "off", "none", "null":
		return false
	}
	if strings.HasPrefix(v, "$") || strings.HasPrefix(v, "/") || strings.HasPrefix(v, "<") {
		return false
	}
	if strings.Contains(v, "://") {
		return false
	}
	return len(v) > 4 || strings.Trim(v, "0123456789") != ""
}

// RootUser says whether a USER is root: by name, by number, or none.
func RootUser(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "root" || strings.Trim(name, "0") == ""
}

// AdminPort names the service for remote administration a port such as "22" or
// "2375/tcp" is for, "" for others.
func AdminPort(port string) string {
	number, _, _ := strings.Cut(port, "/")
	switch number {
	case "22":
		return "SSH"
	case "23":
		return "Telnet"
	case "512", "513", "514":
		return "r-commands"
	case "2375", "2376":
		return "Docker engine"
	case "3389":
		return "Remote Desktop"
	case "5900":
		return "VNC"
	case "5985", "5986":
		return "WinRM"
	case "10250":
		return "kubelet"
	case "5005", "9229", "2345":
		return "debugger"
	}
	return ""
}

// SwitchesTLSOff says whether a variable tells a program or language runtime not
// to check certificates.
func SwitchesTLSOff(name, value string) bool {
	value = strings.ToLower(strings.Trim(value, `"' `))
	switch strings.ToUpper(name) {
	case "NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "NPM_CONFIG_STRICT_SSL", "YARN_STRICT_SSL":
		return value == "0" || value == "false"
	case "GIT_SSL_NO_VERIFY", "CURL_INSECURE":
		return value == "1" || value == "true"
	case "GONOSUMCHECK", "GOINSECURE", "GONOSUMDB":
		return value == "*" || value == "1"
	}
	return false
}
