package kubernetes

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/detect/misconfig"
	"github.com/seawall-security/seawall/internal/seawall"
)

// maxLines bounds how much of one value of a ConfigMap is read.
const maxLines = 20_000

// configMapSecrets finds credentials in a ConfigMap: keys named like one, lines
// "name = value" and "name: value" in files, and private keys. Values are never told.
func configMapSecrets(s *control.Subject) []control.Outcome {
	var found []string
	data := object(s.Map, "data")
	for key, v := range data {
		value, ok := v.(string)
		if !ok {
			continue
		}
		switch {
		case strings.Contains(value, "PRIVATE KEY-----") && strings.Contains(value, "-----BEGIN "):
			found = append(found, key+" (a private key)")
		case misconfig.NamesSecret(key, value):
			found = append(found, key)
		case strings.Contains(value, "\n"):
			if line, name := credentialLine(value); line > 0 {
				found = append(found, fmt.Sprintf("%s line %d (%s)", key, line, name))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return []control.Outcome{{Field: "data", Evidence: strings.Join(found, ", ")}}
}

// credentialLine is the first line of a text that sets a credential; 0 without one.
func credentialLine(text string) (number int, name string) {
	for line := range strings.Lines(text) {
		if number++; number > maxLines {
			return 0, ""
		}
		line = strings.TrimSpace(line)
		i := strings.IndexAny(line, "=:")
		if i <= 0 || line[0] == '#' || line[0] == ';' {
			continue
		}
		name = strings.Trim(strings.TrimSpace(line[:i]), `"'`)
		value := strings.TrimSpace(line[i+1:])
		if misconfig.NamesSecret(name, value) && !strings.ContainsAny(name, " \t") {
			return number, name
		}
	}
	return 0, ""
}

// unusedSecrets finds Secrets that no object names. Secrets that belong to an
// owner, or that controllers look for by type or label, are left out.
func unusedSecrets(s *control.Subject) []control.Outcome {
	used := s.Snapshot.Index.(*references).secrets
	var outcomes []control.Outcome
	objects := s.Snapshot.Facts.Objects
	for i := range objects {
		o := &objects[i]
		if o.Kind != "Secret" || used[o.Namespace+"/"+o.Name] || o.Namespace == "kube-system" {
			continue
		}
		var m struct {
			Type     string
			Metadata struct {
				OwnerReferences []any
				Labels          map[string]string
			}
		}
		if err := json.Unmarshal(o.JSON, &m); err != nil {
			outcomes = append(outcomes, control.Outcome{Object: o, Status: seawall.StatusNotEvaluated, Reason: err.Error()})
			continue
		}
		switch {
		case len(m.Metadata.OwnerReferences) > 0, m.Metadata.Labels["owner"] == "helm":
		case slices.Contains([]string{"Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson", "kubernetes.io/tls"}, m.Type):
			outcomes = append(outcomes, control.Outcome{Object: o, Evidence: "no pod, account, Ingress, Gateway or volume names it"})
		}
	}
	return outcomes
}

// expiresSoon is how long a certificate should at least be valid.
const expiresSoon = 30 * 24 * time.Hour

// certificateExpiry judges the certificate of a TLS Secret.
func certificateExpiry(s *control.Subject) []control.Outcome {
	cert, err := parseCertificate(text(object(s.Map, "data"), "tls.crt"))
	now := s.Snapshot.Facts.Now
	switch {
	case err != nil:
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "reading tls.crt: " + err.Error()}}
	case now.After(cert.NotAfter):
		return []control.Outcome{{Field: "data.tls.crt", Evidence: "ended on " + cert.NotAfter.UTC().Format(time.DateOnly)}}
	case cert.NotAfter.Sub(now) < expiresSoon:
		return []control.Outcome{{Field: "data.tls.crt", Severity: seawall.SeverityMedium, Evidence: "ends on " + cert.NotAfter.UTC().Format(time.DateOnly)}}
	}
	return nil
}

// longLife is what a user's client certificate may live.
const longLife = 366 * 24 * time.Hour

// clientCertificate judges the certificate of an approved request.
func clientCertificate(s *control.Subject) []control.Outcome {
	issued := text(object(s.Map, "status"), "certificate")
	if issued == "" {
		return []control.Outcome{{Status: seawall.StatusNotApplicable, Reason: "no certificate was issued"}}
	}
	cert, err := parseCertificate(issued)
	switch {
	case err != nil:
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "reading status.certificate: " + err.Error()}}
	case s.Snapshot.Facts.Now.After(cert.NotAfter):
		return nil
	}
	who := fmt.Sprintf("user %q, valid until %s", cert.Subject.CommonName, cert.NotAfter.UTC().Format(time.DateOnly))
	if slices.Contains(cert.Subject.Organization, "system:masters") {
		return []control.Outcome{{Field: "status.certificate", Severity: seawall.SeverityHigh, Evidence: who + ", in system:masters, which no role or webhook can restrict"}}
	}
	if cert.NotAfter.Sub(cert.NotBefore) > longLife {
		return []control.Outcome{{Field: "status.certificate", Evidence: who}}
	}
	return nil
}

// parseCertificate reads the first certificate of base64-encoded PEM.
func parseCertificate(encoded string) (*x509.Certificate, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it is no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
