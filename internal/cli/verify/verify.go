// Package verify holds the commands verify image and verify bundle, and what a
// scan that was told whose signature to expect does with it: Signed wraps a
// target so that its asset says what became of its signatures.
package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	sourceall "github.com/seawall-security/seawall/internal/source/all"
	"github.com/seawall-security/seawall/internal/verify"
	verifyall "github.com/seawall-security/seawall/internal/verify/all"
)

// commands are the subcommands of one invocation.
type commands struct{ *command.Env }

// verifyFlags are what a signature has to satisfy.
type verifyFlags struct {
	key            string
	identity       string
	identityRegexp string
	issuer         string
	issuerRegexp   string
	trustedRoot    string
	requireLog     bool
	kind           string
	builder        string
	builderRegexp  string
	trustStore     string
	prefix         string // of the flags' names
	offline        bool
	format         string
}

func (f *verifyFlags) add(cmd *cobra.Command) {
	f.addTrust(cmd, "")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "refuse everything that would leave this machine")
	command.AddFormat(cmd, &f.format, "text", "json")
}

// addTrust adds the flags that say what to believe, their names behind a prefix.
func (f *verifyFlags) addTrust(cmd *cobra.Command, prefix string) {
	f.prefix = prefix
	flags := cmd.Flags()
	flags.StringVar(&f.key, prefix+"key", "", "file with the PEM public key that must have signed")
	flags.StringVar(&f.identity, prefix+"identity", "", "who must have signed: the certificate's mail address or URI")
	flags.StringVar(&f.identityRegexp, prefix+"identity-regexp", "", "the same as a regular expression; it matches anywhere unless anchored with ^ and $")
	flags.StringVar(&f.issuer, prefix+"issuer", "", "who must have vouched for the identity: the OpenID Connect issuer's URL")
	flags.StringVar(&f.issuerRegexp, prefix+"issuer-regexp", "", "the same as a regular expression")
	flags.StringVar(&f.trustedRoot, prefix+"trusted-root", "", "Sigstore trusted_root.json to believe (default: the public-good instance's, embedded)")
	flags.BoolVar(&f.requireLog, prefix+"require-log", false, "with a key: demand a transparency log entry (one that is there is always checked)")
	flags.StringVar(&f.builder, prefix+"builder", "", "builder that SLSA provenance must name; implies the type slsaprovenance")
	flags.StringVar(&f.builderRegexp, prefix+"builder-regexp", "", "the same as a regular expression")
}

// addTrustStore adds the flag for Notary Project signatures, which are beside images only.
func (f *verifyFlags) addTrustStore(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.trustStore, f.prefix+"trust-store", "", "directory of certificates for Notary Project signatures; the identity is then a distinguished name")
}

func (f *verifyFlags) addType(cmd *cobra.Command, byDefault, shown string) {
	cmd.Flags().StringVar(&f.kind, f.prefix+"type", byDefault, "what it must be: "+strings.Join(verify.TypeNames(), ", ")+" or a predicate type's URI"+shown)
	_ = cmd.RegisterFlagCompletionFunc(f.prefix+"type", command.FixedCompletion(verify.TypeNames()...))
}

// policy turns flags into a policy. Its errors are usage errors.
func (f *verifyFlags) policy(cmd *cobra.Command) (*verify.Policy, error) {
	p := &verify.Policy{RequireLog: f.requireLog, TrustStore: f.trustStore, Type: f.kind, Builder: verify.Pattern{Exact: f.builder, Regexp: f.builderRegexp}}
	id := verify.Identity{
		Subject: verify.Pattern{Exact: f.identity, Regexp: f.identityRegexp},
		Issuer:  verify.Pattern{Exact: f.issuer, Regexp: f.issuerRegexp},
	}
	if !id.Subject.Empty() || !id.Issuer.Empty() {
		p.Identities = []verify.Identity{id}
	}
	if !p.Builder.Empty() && (p.Type == verify.TypeAny || p.Type == verify.TypeSignature) {
		p.Type = "slsaprovenance"
	}
	var err error
	if f.key != "" {
		if p.Key, err = readSmall(f.key, "public key"); err != nil {
			return nil, err
		}
	}
	if f.trustedRoot != "" {
		if p.TrustedRoot, err = readSmall(f.trustedRoot, "trusted root"); err != nil {
			return nil, err
		}
	}
	if err := p.Check(); err != nil {
		return nil, seawall.WithHint(err, fmt.Sprintf("give --%[1]skey FILE, or --%[1]sidentity ID and --%[1]sissuer URL; see '%s --help'", f.prefix, cmd.CommandPath()))
	}
	return p, nil
}

// checkFormat refuses formats a verdict has none of.
func (f *verifyFlags) checkFormat(cmd *cobra.Command) error {
	if f.format != "text" && f.format != "json" {
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want text or json)", f.format))
	}
	return nil
}

// maxTrustBytes bounds keys and trust roots.
const maxTrustBytes = 4 << 20

// readSmall reads a file of the user's request; one that is not there is a usage error.
func readSmall(name, what string) ([]byte, error) {
	raw, err := readBounded(name, maxTrustBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", what, err, seawall.ErrUsage)
	}
	return raw, nil
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return raw, nil
}

// Command returns "seawall verify".
func Command(env *command.Env) *cobra.Command {
	a := &commands{env}
	return command.Group("verify", "Check signatures and attestations",
		"Verify tells whether an image or a file was signed by whom it should have been, and\nwhy not where it was not. Everything is checked on this machine; the trust root of\nSigstore's public-good instance is built in, and none is ever fetched.",
		a.verifyImageCommand(),
		a.verifyBundleCommand(),
	)
}

// imageFlags are where an image's signatures are and how long a verdict on them counts.
type imageFlags struct {
	verifyFlags
	insecure  []string
	cacheDir  string
	noCache   bool
	cacheTime time.Duration
}

func (a *commands) verifyImageCommand() *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "image TARGET (--key FILE | --identity ID --issuer URL | --trust-store DIR)",
		Short: "Check who signed an image, or what is attested about it",
		Long: `Check who signed an image, or what is attested about it. TARGET is a reference in a
registry, oci:DIR or oci-archive:TAR. Signatures are looked for as Sigstore bundles
and Notary Project signatures that refer to the image, and under cosign's tags
sha256-….sig and sha256-….att; one that satisfies everything asked for is enough.

The digest that the name leads to must be signed: for a multi-platform image the
index. A verified answer is kept for --cache-time.

Exit status 0 says verified, 1 not verified, 3 that the signatures could not be fetched.`,
		Example: `  seawall verify image ghcr.io/org/app:1 --key cosign.pub
  seawall verify image ghcr.io/org/app:1 --issuer https://token.actions.githubusercontent.com \
    --identity https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1
  seawall verify image ghcr.io/org/app:1 --type slsaprovenance --key cosign.pub --builder https://ci.example.org
  seawall verify image oci:./build --trust-store /etc/notary`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.verifyImage(cmd, &f, args[0]) },
	}
	f.add(cmd)
	f.addType(cmd, verify.TypeSignature, "")
	f.addTrustStore(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.insecure, "insecure", nil, "registries (host[:port]) to reach over plain HTTP or unverified TLS")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "where verdicts are kept (default: the user's cache directory)")
	flags.BoolVar(&f.noCache, "no-cache", false, "judge again and keep nothing")
	flags.DurationVar(&f.cacheTime, "cache-time", time.Hour, "how long a verified answer counts")
	return cmd
}

func (a *commands) verifyImage(cmd *cobra.Command, f *imageFlags, name string) error {
	if err := f.checkFormat(cmd); err != nil {
		return err
	}
	p, err := f.policy(cmd)
	if err != nil {
		return err
	}
	var dir string
	if !f.noCache && f.cacheTime > 0 {
		if dir, err = a.CacheDirectory(f.cacheDir); err != nil {
			return err
		}
	}
	c, err := newChecker(a.Env, p, dir, f.cacheTime)
	if err != nil {
		return err
	}
	v, err := c.verdict(cmd.Context(), name, source.Options{Offline: f.offline, Insecure: f.insecure})
	if err != nil {
		return err
	}
	return a.verdictOf(&f.verifyFlags, v)
}

// checker judges images by one policy.
type checker struct {
	env    *command.Env
	policy *verify.Policy
	judges []verify.Judge
	trust  string
	cache  *verify.Cache // nil keeps nothing
	keep   time.Duration
}

// newChecker keeps verified answers below cacheDir, or nowhere when it is "".
func newChecker(env *command.Env, p *verify.Policy, cacheDir string, keep time.Duration) (*checker, error) {
	judges, trust, err := verifyall.Judges(p)
	if err != nil {
		return nil, err
	}
	c := &checker{env: env, policy: p, judges: judges, trust: trust, keep: keep}
	if cacheDir != "" {
		c.cache = verify.NewCache(filepath.Join(cacheDir, "verdicts"), env.Now)
	}
	return c, nil
}

// verdict fetches what lies beside an image and judges it, or takes an answer that still counts.
func (c *checker) verdict(ctx context.Context, name string, o source.Options) (verify.Verdict, error) {
	var v verify.Verdict
	var key string
	var keyErr error
	wanted := source.Wanted{
		MediaType: func(mediaType string) bool { _, ok := verify.FormatOf(mediaType); return ok },
		Known: func(digest string) (known bool) {
			if c.cache == nil {
				return false
			}
			if key, keyErr = c.policy.CacheKey(digest, c.trust); keyErr == nil {
				v, known = c.cache.Get(key)
			}
			return known
		},
	}
	beside, err := sourceall.Attached(ctx, name, o, wanted)
	if err = errors.Join(err, keyErr); err != nil {
		return v, err
	}
	if !beside.Known {
		subject := verify.Subject{Digest: beside.Digest, MediaType: beside.MediaType, Size: beside.Size}
		v = verify.Run(ctx, c.judges, materials(beside.Found), subject, c.policy)
		v.TrustRoot = c.trust
		if v.Verified && key != "" {
			if err := c.cache.Put(key, v, c.keep); err != nil {
				fmt.Fprintln(c.env.Stderr, "seawall:", command.Printable(err.Error()))
			}
		}
	}
	v.Name = name
	return v, nil
}

// materials are what a source found, as the judges take it.
func materials(found []source.Attached) []verify.Material {
	var out []verify.Material
	for _, at := range found {
		format, _ := verify.FormatOf(at.MediaType)
		out = append(out, verify.Material{
			Format: format, MediaType: at.MediaType, Content: at.Content, Annotations: at.Annotations, Place: at.Place, Err: at.Err,
		})
	}
	return out
}

func (a *commands) verifyBundleCommand() *cobra.Command {
	var f verifyFlags
	var bundle, artifact, digest string
	cmd := &cobra.Command{
		Use:   "bundle --bundle FILE (--artifact FILE | --digest sha256:…) (--key FILE | --identity ID --issuer URL)",
		Short: "Check a file against its Sigstore bundle",
		Long: `Check a file against its Sigstore bundle (.sigstore.json, versions 0.1 to 0.3): a
signature, or an attestation about the file. Nothing leaves this machine.

Exit status 0 says verified, 1 not verified: a damaged bundle too is only an unverified one.`,
		Example: `  seawall verify bundle --bundle app.sigstore.json --artifact app --key cosign.pub
  seawall verify bundle --bundle app.sigstore.json --digest sha256:… \
    --identity https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1 \
    --issuer https://token.actions.githubusercontent.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.checkFormat(cmd); err != nil {
				return err
			}
			p, err := f.policy(cmd)
			if err != nil {
				return err
			}
			if bundle == "" {
				return command.Usage(cmd, errors.New("no --bundle"))
			}
			subject, err := fileSubject(cmd, artifact, digest)
			if err != nil {
				return err
			}
			content, err := readBounded(bundle, verify.MaxContent)
			if err != nil {
				return fmt.Errorf("bundle: %w: %w", err, seawall.ErrUsage)
			}
			judges, trust, err := verifyall.Judges(p)
			if err != nil {
				return err
			}
			found := []verify.Material{{Format: verify.FormatBundle, Content: content, Place: bundle}}
			v := verify.Run(cmd.Context(), judges, found, subject, p)
			v.Name, v.TrustRoot = cmp.Or(artifact, digest), trust
			return a.verdictOf(&f, v)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&bundle, "bundle", "", "the bundle")
	flags.StringVar(&artifact, "artifact", "", "the file that must have been signed")
	flags.StringVar(&digest, "digest", "", "its digest instead, as sha256:… (sha384: and sha512: too)")
	f.addType(cmd, verify.TypeAny, " (default: anything)")
	return cmd
}

// fileSubject is the file or digest that must have been signed.
func fileSubject(cmd *cobra.Command, artifact, digest string) (verify.Subject, error) {
	switch {
	case (artifact == "") == (digest == ""):
		return verify.Subject{}, command.Usage(cmd, errors.New("give one of --artifact and --digest"))
	case digest != "":
		if !regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`).MatchString(digest) {
			return verify.Subject{}, command.Usage(cmd, fmt.Errorf("--digest %q: want sha256: and 64 hexadecimal digits in lower case", digest))
		}
		return verify.Subject{Digest: digest}, nil
	}
	f, err := os.Open(artifact)
	if err != nil {
		return verify.Subject{}, fmt.Errorf("artifact: %w: %w", err, seawall.ErrUsage)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return verify.Subject{}, fmt.Errorf("artifact: %w: %w", err, seawall.ErrUnreadable)
	}
	return verify.Subject{
		Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)),
		Open:   func() (io.ReadCloser, error) { return os.Open(artifact) },
	}, nil
}

// verdictOf prints a verdict and turns it into the exit status.
func (a *commands) verdictOf(f *verifyFlags, v verify.Verdict) error {
	if f.format == "json" {
		if err := command.WriteJSON(a.Stdout, v); err != nil {
			return err
		}
	} else {
		a.printVerdict(v)
	}
	if v.Verified {
		return nil
	}
	return &command.Error{Code: command.ExitBlocked, Err: errors.New(string(v.Reason)), Silent: true}
}

func (a *commands) printVerdict(v verify.Verdict) {
	if v.Verified {
		fmt.Fprintf(a.Stdout, "verified      %s\n", command.Printable(v.Name))
	} else {
		fmt.Fprintf(a.Stdout, "NOT VERIFIED  %s\n  %s: %s\n", command.Printable(v.Name), v.Reason, command.Printable(v.Detail))
	}
	if v.Digest != "" {
		fmt.Fprintf(a.Stdout, "  digest      %s\n", v.Digest)
	}
	if v.TrustRoot != "" {
		fmt.Fprintf(a.Stdout, "  trust root  %s\n", command.Printable(v.TrustRoot))
	}
	for _, r := range v.Signatures {
		a.printSignature(r)
	}
}

func (a *commands) printSignature(r verify.Result) {
	what := cmp.Or(r.Type, "signature")
	if !r.Verified {
		fmt.Fprintf(a.Stdout, "- %s (%s): %s: %s\n", command.Printable(what), command.Printable(r.Place), r.Reason, command.Printable(r.Detail))
		return
	}
	fmt.Fprintf(a.Stdout, "+ %s (%s)\n    signed by   %s\n", command.Printable(what), command.Printable(r.Place), command.Printable(r.Signer))
	for _, line := range []struct{ label, value string }{
		{"issuer", r.Issuer}, {"built by", r.Builder}, {"signed at", timeOrNone(r.Signed)}, {"logged", yesOrNone(r.Logged)},
	} {
		if line.value != "" {
			fmt.Fprintf(a.Stdout, "    %-11s %s\n", line.label, command.Printable(line.value))
		}
	}
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func yesOrNone(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
