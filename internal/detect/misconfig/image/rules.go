package image

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	negligible = seawall.SeverityNegligible
	low        = seawall.SeverityLow
	medium     = seawall.SeverityMedium
	high       = seawall.SeverityHigh

	nistDefects, nistSecrets, nistTrust = "nist-800-190:4.1.2", "nist-800-190:4.1.4", "nist-800-190:4.1.5"
)

func rule(id string, severity seawall.Severity, title, rationale, remediation string, frameworks ...string) detect.Rule {
	return detect.Rule{
		ID: id, Title: title, Severity: severity, Rationale: rationale, Remediation: remediation,
		References: []string{"https://github.com/opencontainers/image-spec/blob/main/config.md"}, Frameworks: frameworks,
	}
}

// rules are what is looked for; each has a case in image_test.go.
func rules() []detect.Rule {
	return append(configurationRules(), historyRules()...)
}

func configurationRules() []detect.Rule {
	return []detect.Rule{
		rule("SW-IMG-001", medium, "The image runs as root", "A process that breaks out of its container as root is root on the node, unless user namespaces are in use.", "Set USER to a numeric, unprivileged id in the Dockerfile; in Kubernetes also runAsNonRoot.", "cis-docker-1.6:4.1", nistDefects),
		rule("SW-IMG-002", low, "The image has no health check", "Outside Kubernetes nothing notices that the program hangs.", "Add HEALTHCHECK to the Dockerfile, or probes to the pod.", "cis-docker-1.6:4.6"),
		rule("SW-IMG-003", medium, "A port for remote administration is exposed", "Shells, debuggers and the container engine's own port do not belong into an application image.", "Remove EXPOSE and what listens there.", "cis-docker-1.6:4.3", nistDefects),
		rule("SW-IMG-004", high, "A variable named like a credential is set in the image", "The configuration is readable for everyone who can pull the image.", "Take it out of the image, replace the credential, and pass it when the container starts.", "cis-docker-1.6:4.10", nistSecrets),
		rule("SW-IMG-005", low, "The image was built more than half a year ago", "Distributions publish security updates every week; this image has none of the last months.", "Build it again, regularly, on an up-to-date base image.", "cis-docker-1.6:4.4", "nist-800-190:4.1.1"),
		rule("SW-IMG-006", low, "The image is named by latest", "The name stands for other content tomorrow: what was scanned may not be what runs.", "Deploy by digest, or by a tag that never moves.", "cis-docker-1.6:4.2", nistTrust),
		rule("SW-IMG-007", medium, "sudo or doas is installed", "A container's process has the user it needs; a setuid program to become root only helps an intruder.", "Do not install it; set USER.", "cis-docker-1.6:4.3", nistDefects),
		rule("SW-IMG-008", medium, "An SSH server is installed", "It is one more service to attack, with keys and passwords to manage.", "Use kubectl exec or docker exec.", "cis-docker-1.6:4.3", nistDefects),
		rule("SW-IMG-009", high, "The container starts an SSH server", "It gives a shell over the network, past the access control and the audit log of the platform.", "Start the application itself; use kubectl exec or docker exec.", "cis-docker-1.6:4.3", nistDefects),
		rule("SW-IMG-010", medium, "Programs or libraries are searched where others may write", "Whoever can write a file there has it run by the container's program.", "Keep to absolute system directories in PATH and LD_LIBRARY_PATH; drop LD_PRELOAD.", nistDefects),
		rule("SW-IMG-011", medium, "A volume lies over a system directory", "The directory is writable even when the root filesystem is read-only, and updates of the image do not reach it.", "Declare a volume for the data directory alone.", nistDefects),
		rule("SW-IMG-012", low, "The entry point is a shell", "The shell becomes process 1 and swallows the signal to stop; arguments pass through its expansion.", "Use the JSON form of ENTRYPOINT."),
		rule("SW-IMG-013", negligible, "The image does not say where it comes from", "Without a source nobody can tell what it was built from or whom to ask.", "Set the label org.opencontainers.image.source.", nistTrust),
		rule("SW-IMG-014", high, "Certificate checks are switched off", "Every connection of the program can be read and changed on its way.", "Remove the variable; add the missing certificate authority instead.", nistDefects),
	}
}

func historyRules() []detect.Rule {
	return []detect.Rule{
		rule("SW-IMG-015", medium, "The build downloaded from a URL with ADD", "ADD takes what the server sends, unverified.", "Use ADD --checksum=sha256:…, or RUN with curl and a check of the sum.", "cis-docker-1.6:4.9", nistTrust),
		rule("SW-IMG-016", high, "The build ran a download at once", "Whoever controlled the server, or the way to it, controls the image.", "Download a fixed version, check its sum, then run it.", "cis-docker-1.6:4.11", nistTrust),
		rule("SW-IMG-017", low, "Package lists were updated without an install in the same step", "A cached layer keeps the old lists: later installs miss security updates.", "Join update and install in one RUN.", "cis-docker-1.6:4.7"),
		rule("SW-IMG-018", medium, "The build made files writable for everyone", "Any process in the container can replace them.", "Give rights to the user that needs them.", nistDefects),
		rule("SW-IMG-019", high, "The build installed packages without checking signatures", "A mirror, or anyone on the way, could replace them.", "Remove the option; add the repository's key instead.", "cis-docker-1.6:4.11", nistTrust),
		rule("SW-IMG-020", medium, "The build downloaded without a certificate check", "Anyone on the way could replace what was downloaded.", "Use https with certificate checks.", "cis-docker-1.6:4.11", nistTrust),
		rule("SW-IMG-021", high, "The history of the build holds a password", "It is readable for everyone who can pull the image.", "Replace the credential; use RUN --mount=type=secret.", "cis-docker-1.6:4.10", nistSecrets),
		rule("SW-IMG-022", high, "A build argument named like a credential is in the history", "Values of build arguments are readable for everyone who can pull the image.", "Replace the credential; use RUN --mount=type=secret.", "cis-docker-1.6:4.10", nistSecrets),
		rule("SW-IMG-023", high, "The build set up sudo without a password", "Any process of that user is as good as root.", "Remove the entry; run as the user that is needed.", nistDefects),
	}
}
