package registry

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// The identifiers of the rules.
const (
	rulePlainHTTP   = "SW-REG-001"
	ruleOldTLS      = "SW-REG-002"
	ruleUntrusted   = "SW-REG-003"
	ruleExpiry      = "SW-REG-004"
	ruleWeakKey     = "SW-REG-005"
	ruleCatalog     = "SW-REG-006"
	rulePull        = "SW-REG-007"
	rulePush        = "SW-REG-008"
	ruleDelete      = "SW-REG-009"
	ruleAccount     = "SW-REG-010"
	ruleMutable     = "SW-REG-011"
	ruleMoved       = "SW-REG-012"
	ruleUnsigned    = "SW-REG-013"
	ruleStale       = "SW-REG-014"
	ruleSoftware    = "SW-REG-015"
	specification   = "https://github.com/opencontainers/distribution-spec/blob/main/spec.md"
	tokens          = "https://distribution.github.io/distribution/spec/auth/token/"
	configuration   = "https://distribution.github.io/distribution/about/configuration/"
	retiredVersions = "https://www.rfc-editor.org/rfc/rfc8996"
)

// rules are the data findings are made of.
func rules() []detect.Rule {
	return []detect.Rule{
		{
			ID: rulePlainHTTP, Severity: seawall.SeverityHigh,
			Title:       "The registry is served over plain HTTP",
			Rationale:   "Whoever is on the way can read the logins that are sent and hand out other images than the ones asked for; only clients that pin digests would notice.",
			Remediation: "Serve the registry over TLS only, and let port 80 redirect or stay closed.",
			References:  []string{configuration + "#tls"}, Frameworks: []string{"CWE-319"},
		},
		{
			ID: ruleOldTLS, Severity: seawall.SeverityMedium,
			Title:       "The registry accepts TLS 1.0 or 1.1",
			Rationale:   "Both versions were retired in 2021: they rest on MD5 and SHA-1, and a connection talked down to them can be attacked.",
			Remediation: "Set TLS 1.2 as the lowest version, for distribution http.tls.minimumtls: tls1.2.",
			References:  []string{retiredVersions}, Frameworks: []string{"CWE-327"},
		},
		{
			ID: ruleUntrusted, Severity: seawall.SeverityHigh,
			Title:       "The registry's certificate is not trusted",
			Rationale:   "Clients that cannot check a certificate are set up to ignore it, and then anybody on the way can present one.",
			Remediation: "Use a certificate of an authority the clients know, made out to the registry's name, or give clients your authority's certificate.",
			Frameworks:  []string{"CWE-295"},
		},
		{
			ID: ruleExpiry, Severity: seawall.SeverityHigh,
			Title:       "The registry's certificate has expired or soon will",
			Rationale:   "Once a certificate has expired no node can pull: new pods stay down, or somebody turns the check off. Medium while there are days left.",
			Remediation: "Renew the certificate, and let a machine do it from now on.",
			Frameworks:  []string{"CWE-298"},
		},
		{
			ID: ruleWeakKey, Severity: seawall.SeverityMedium,
			Title:       "The registry's certificate has a weak key or signature",
			Rationale:   "Short RSA keys can be factored, and certificates signed with MD5 or SHA-1 can be forged.",
			Remediation: "Renew the certificate with an ECDSA P-256 or an RSA key of at least 2048 bits, signed with SHA-256.",
			Frameworks:  []string{"CWE-326"},
		},
		{
			ID: ruleCatalog, Severity: seawall.SeverityMedium,
			Title:       "Anybody can list the registry's repositories",
			Rationale:   "The list tells strangers what is developed and run, and which images to try to pull or overwrite.",
			Remediation: "Ask for a login, or deny registry:catalog to anonymous users.",
			References:  []string{tokens}, Frameworks: []string{"CWE-862"},
		},
		{
			ID: rulePull, Severity: seawall.SeverityMedium,
			Title:       "Anybody can pull images",
			Rationale:   "Images hold source code, configuration and, too often, keys. Registries that publish images on purpose can accept this finding.",
			Remediation: "Ask for a login, or make only those projects public that are meant to be.",
			References:  []string{tokens}, Frameworks: []string{"CWE-862"},
		},
		{
			ID: rulePush, Severity: seawall.SeverityCritical,
			Title:       "Anybody can push images",
			Rationale:   "Whoever reaches the registry can replace what a tag points to, and every node that pulls it runs their program.",
			Remediation: "Ask for a login before the registry can be reached from anywhere; then compare what tags point to with what was built.",
			References:  []string{configuration + "#auth"}, Frameworks: []string{"CWE-306"},
		},
		{
			ID: ruleDelete, Severity: seawall.SeverityCritical,
			Title:       "Anybody can delete images",
			Rationale:   "Deleted images cannot be pulled: what restarts on another node does not come up again.",
			Remediation: "Ask for a login, and turn deletion off where nothing needs it.",
			References:  []string{configuration + "#delete"}, Frameworks: []string{"CWE-306"},
		},
		{
			ID: ruleAccount, Severity: seawall.SeverityLow,
			Title:       "The scanning account may change the registry",
			Rationale:   "A scanner, and a node, only needs to pull. Its login lies on more machines than others.",
			Remediation: "Scan with an account that may pull only.",
			Frameworks:  []string{"CWE-250"},
		},
		{
			ID: ruleMutable, Severity: seawall.SeverityLow,
			Title:       "Tags can be overwritten or deleted",
			Rationale:   "What a tag meant yesterday is not what it means today: deployments differ by when they pulled, and nothing shows that an image was replaced. High when anybody may push.",
			Remediation: "Turn on the registry's immutable tags where it has them, turn deletion off, and deploy by digest.",
			References:  []string{specification + "#pushing-manifests"},
		},
		{
			ID: ruleMoved, Severity: seawall.SeverityMedium,
			Title:       "A tag points to another image than at the last scan",
			Rationale:   "Tags such as latest are meant to move. A version's tag is not: it was rebuilt, or somebody replaced it. High for versions, low for latest.",
			Remediation: "Find out who pushed it. If nobody did, treat it as an intrusion: restore the image by its old digest and change the registry's logins.",
			References:  []string{specification + "#pushing-manifests"}, Frameworks: []string{"CWE-345"},
		},
		{
			ID: ruleUnsigned, Severity: seawall.SeverityLow,
			Title:       "The image is not signed",
			Rationale:   "Without a signature nobody can tell an image that the build made from one that was put in its place.",
			Remediation: "Sign images where they are built (cosign, notation), and let admission verify them.",
			References:  []string{"https://docs.sigstore.dev/", "https://notaryproject.dev/"}, Frameworks: []string{"CWE-345"},
		},
		{
			ID: ruleStale, Severity: seawall.SeverityLow,
			Title:       "Nobody has built the repository's images for a year",
			Rationale:   "Images age by standing still: what is not rebuilt gets no fixes, and is still there to be pulled.",
			Remediation: "Rebuild from a current base, or remove the repository if nothing uses it.",
		},
		{
			ID: ruleSoftware, Severity: seawall.SeverityUnknown,
			Title:       "Known vulnerabilities of the registry's software",
			Rationale:   "A registry is a server like any other. Where it tells its version, that is compared with the advisory database; findings carry the advisories' identifiers.",
			Remediation: "Compare the version you run with the project's security advisories.",
		},
	}
}
