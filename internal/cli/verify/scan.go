package verify

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/verify"
)

// ScanFlags say whose signature the images of a scan must carry.
type ScanFlags struct{ verifyFlags }

// Add adds the flags to a command that scans images.
func (f *ScanFlags) Add(cmd *cobra.Command) {
	f.addTrust(cmd, "verify-")
	f.addTrustStore(cmd)
	f.addType(cmd, verify.TypeSignature, "")
}

// Wanted tells whether a signature was asked for.
func (f *ScanFlags) Wanted() bool {
	return f.key+f.identity+f.identityRegexp+f.issuer+f.issuerRegexp+f.builder+f.builderRegexp+f.trustStore != ""
}

// scanKeep is how long a verified answer counts in scans.
const scanKeep = time.Hour

// Verify returns what notes in an image's asset how its signatures came out. An
// image that its registry knows by digest is verified by that digest, so that
// what was scanned is what was verified; another by the name it was opened by.
// Answers are kept below cacheDir, "" keeps none.
func (f *ScanFlags) Verify(cmd *cobra.Command, env *command.Env, cacheDir string, o source.Options) (func(context.Context, string, *seawall.Asset), error) {
	p, err := f.policy(cmd)
	if err != nil {
		return nil, err
	}
	c, err := newChecker(env, p, cacheDir, scanKeep)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string, image *seawall.Asset) {
		if digests := image.Image.RepoDigests; len(digests) > 0 {
			name = digests[0]
		}
		v, err := c.verdict(ctx, name, o)
		note := &seawall.Verification{Verified: v.Verified, Digest: v.Digest, Reason: string(v.Reason), Detail: v.Detail}
		if err != nil {
			note = &seawall.Verification{Error: err.Error()}
		}
		for _, fact := range v.Facts() {
			note.Signatures = append(note.Signatures, *fact.Signature)
		}
		image.Image.Verification = note
	}, nil
}
