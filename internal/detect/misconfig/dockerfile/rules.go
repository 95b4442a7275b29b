package dockerfile

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Frameworks the rules belong to: CIS Docker Benchmark 1.6 section 4 and NIST
// SP 800-190 section 4.1.
const (
	cisUser, cisTrusted, cisMinimal = "cis-docker-1.6:4.1", "cis-docker-1.6:4.2", "cis-docker-1.6:4.3"
	cisHealth, cisUpdate, cisSetuid = "cis-docker-1.6:4.6", "cis-docker-1.6:4.7", "cis-docker-1.6:4.8"
	cisAdd, cisSecrets, cisVerified = "cis-docker-1.6:4.9", "cis-docker-1.6:4.10", "cis-docker-1.6:4.11"
	nistDefects, nistSecrets        = "nist-800-190:4.1.2", "nist-800-190:4.1.4"
	nistTrust                       = "nist-800-190:4.1.5"
)

const reference = "https://docs.docker.com/reference/dockerfile/"

func rule(id string, severity seawall.Severity, title, rationale, remediation string, frameworks ...string) detect.Rule {
	return detect.Rule{
		ID: id, Title: title, Severity: severity, Rationale: rationale, Remediation: remediation,
		References: []string{reference}, Frameworks: frameworks,
	}
}

const (
	negligible = seawall.SeverityNegligible
	low        = seawall.SeverityLow
	medium     = seawall.SeverityMedium
	high       = seawall.SeverityHigh
)

// rules are what is looked for; each has a case in lint_test.go that breaks it and one that does not.
func rules() []detect.Rule {
	return append(append(buildRules(), contentRules()...), commandRules()...)
}

func buildRules() []detect.Rule {
	return []detect.Rule{
		rule("SW-DF-001", medium, "Base image without a version", "Without a tag, or with latest, the next build may start from anything: nothing says what was tested.", "Name a version, better with its digest: FROM debian:12@sha256:…", cisTrusted, nistTrust),
		rule("SW-DF-002", low, "Base image not pinned by digest", "A tag can be moved to other content, by its owner or by whoever takes over the account.", "Add the digest: FROM image:tag@sha256:…, and let a bot propose new ones.", cisTrusted, nistTrust),
		rule("SW-DF-003", medium, "The final image runs as root", "A process that breaks out of its container as root is root on the node, unless user namespaces are in use.", "End the last stage with USER and a numeric, unprivileged id.", cisUser, nistDefects),
		rule("SW-DF-004", medium, "ADD downloads from a URL", "ADD takes what the server sends, unverified, and leaves it in a layer of its own.", "Use ADD --checksum=sha256:…, or RUN with curl and a check of the sum.", cisAdd, nistTrust),
		rule("SW-DF-005", low, "ADD where COPY does", "ADD also unpacks archives and downloads: more than copying a file needs.", "Use COPY.", cisAdd),
		rule("SW-DF-006", low, "WORKDIR is relative", "Where it leads depends on the base image, which may change it.", "Start WORKDIR with /."),
		rule("SW-DF-007", negligible, "MAINTAINER is obsolete", "Current tools ignore it.", "Use LABEL org.opencontainers.image.authors=…"),
		rule("SW-DF-008", low, "ENTRYPOINT or CMD in shell form", "The shell becomes process 1 and swallows the signal to stop; arguments pass through its expansion.", `Use the JSON form: ENTRYPOINT ["/app"].`),
		rule("SW-DF-009", medium, "Unknown instruction", "The build fails here, or an instruction is misspelt.", "Correct the instruction."),
		rule("SW-DF-010", medium, "More than one CMD, ENTRYPOINT or HEALTHCHECK in a stage", "Only the last one counts; the others mislead.", "Keep one."),
		rule("SW-DF-011", low, "The final image has no health check", "Outside Kubernetes nothing notices that the program hangs.", "Add HEALTHCHECK, or HEALTHCHECK NONE where the platform has probes.", cisHealth),
		rule("SW-DF-012", medium, "A port for remote administration is exposed", "Shells, debuggers and the container engine's own port do not belong into an application image.", "Remove EXPOSE and what listens there.", cisMinimal, nistDefects),
		rule("SW-DF-013", medium, "Two stages have one name", "COPY --from takes the last one before it, which may not be meant.", "Give every stage its own name."),
		rule("SW-DF-014", high, "A build step runs without isolation", "RUN --security=insecure and --network=host give a build step the machine's rights or network.", "Remove the option.", nistDefects),
	}
}

func contentRules() []detect.Rule {
	return []detect.Rule{
		rule("SW-DF-020", high, "A credential is set with ENV", "Environment variables are in the image's configuration, for everyone who can pull it.", "Pass it when the container starts, or to a build step with RUN --mount=type=secret.", cisSecrets, nistSecrets),
		rule("SW-DF-021", medium, "A credential is passed with ARG", "Build arguments stay in the image's history.", "Use RUN --mount=type=secret,id=…", cisSecrets, nistSecrets),
		rule("SW-DF-022", high, "A file of credentials is copied into the image", "It stays in its layer even if a later step removes it.", "Mount it: RUN --mount=type=secret; keep it out of the context with .dockerignore.", cisSecrets, nistSecrets),
		rule("SW-DF-023", low, "The whole context is copied and there is no .dockerignore", "Histories of version control, local settings and keys come along.", "Add a .dockerignore, or copy only what is needed.", cisSecrets),
		rule("SW-DF-024", high, "A password in a URL", "It is in the image's history, for everyone who can pull it.", "Use RUN --mount=type=secret with a .netrc, or --mount=type=ssh.", cisSecrets, nistSecrets),
		rule("SW-DF-025", high, "A password is set in a build step", "The password is in the history and its hash in /etc/shadow, the same in every container.", "Lock the account; give access with keys at run time.", cisSecrets, nistSecrets),
		rule("SW-DF-026", high, "Certificate checks are switched off by ENV", "Every connection of the program can be read and changed on its way.", "Remove the variable; add the missing certificate authority instead.", nistDefects),
	}
}

func commandRules() []detect.Rule {
	return []detect.Rule{
		rule("SW-DF-030", high, "A download is run at once", "Whoever controls the server, or the way to it, controls the image.", "Download a fixed version, check its sum, then run it.", cisVerified, nistTrust),
		rule("SW-DF-031", medium, "sudo in a build step", "Build steps are root already; sudo only stays behind as a way to gain rights.", "Remove it; use USER to switch.", cisMinimal, nistDefects),
		rule("SW-DF-032", medium, "Package lists updated without an install in the same step", "The layer is cached: later installs use the old lists and miss security updates.", "Join them: RUN apt-get update && apt-get install …", cisUpdate),
		rule("SW-DF-033", low, "The distribution is upgraded in a build step", "The result depends on the day of the build, and replaced files stay in the layers below.", "Move to a newer base image."),
		rule("SW-DF-034", low, "apt installs recommended packages", "What nobody asked for is still there to be attacked.", "Add --no-install-recommends.", cisMinimal),
		rule("SW-DF-035", low, "Package lists or caches stay in the layer", "They make the image larger and tell what can be installed.", "Remove them in the same step, or use RUN --mount=type=cache.", cisMinimal),
		rule("SW-DF-036", low, "An installation waits for an answer", "Without -y the build stops, or installs nothing.", "Add -y."),
		rule("SW-DF-037", low, "A language package without a version", "The next build may install anything, also a version somebody hijacked.", "Name a version, or install from a lock file.", nistTrust),
		rule("SW-DF-038", medium, "Everyone may write (chmod 777)", "Any process in the container, also an unprivileged one, can replace the files.", "Give rights to the user that needs them: COPY --chown, chmod 750.", nistDefects),
		rule("SW-DF-039", high, "A setuid or setgid bit is set", "A flaw in that program gives its owner's rights.", "Drop the bit; use a capability where one is needed.", cisSetuid, nistDefects),
		rule("SW-DF-040", high, "Packages are installed without checking signatures", "A mirror, or anyone on the way, can replace them.", "Remove the option; add the repository's key instead.", cisVerified, nistTrust),
		rule("SW-DF-041", high, "A download without a certificate check", "Anyone on the way can replace what is downloaded.", "Remove the option; install ca-certificates or the authority's certificate.", cisVerified, nistTrust),
		rule("SW-DF-042", medium, "pip or npm trusts a host without checks", "Anyone on the way can replace the packages.", "Remove the option; add the authority's certificate.", cisVerified, nistTrust),
		rule("SW-DF-043", medium, "npm runs package scripts as root", "unsafe-perm lets the scripts of all dependencies run with full rights.", "Remove it; install as an unprivileged user.", nistDefects),
		rule("SW-DF-044", medium, "A download over plain HTTP", "Anyone on the way can replace what is downloaded.", "Use https, and check a sum.", cisVerified, nistTrust),
		rule("SW-DF-045", medium, "An SSH server is installed", "It is one more service to attack, with keys and passwords to manage.", "Use kubectl exec or docker exec.", cisMinimal, nistDefects),
		rule("SW-DF-046", high, "sudo without a password is set up", "Any process of that user is as good as root.", "Remove the entry; run as the user that is needed.", nistDefects),
		rule("SW-DF-047", negligible, "apt in a script", "apt's options and output are for people and change; apt-get's do not.", "Use apt-get."),
	}
}
