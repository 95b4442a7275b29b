// Package verify judges signatures and attestations. It reads no network and no
// file of its own accord: whoever calls it has already fetched what lies beside
// an artifact.
//
//	Material (a bundle, a cosign tag's layer, a Notary envelope)  ┐
//	Subject  (the digest that must have been signed)              ├─► Judge ─► Result ┐
//	Policy   (key or identities, kind, builder)                   ┘                   ├─► Verdict
//	                                                              more Material ──────┘
//
// A Judge knows one family of formats: verify/sigstore takes Sigstore bundles
// and cosign's older tag form, verify/notary takes Notary Project envelopes. Run
// asks the one that takes a Material and adds up: an artifact is verified when at
// least one Material satisfies the whole policy. What was wrong with the others
// is kept, worded for people, with a Reason for programs.
//
// A Verdict can be kept by digest and policy (Cache), for as long as the caller
// is willing to trust yesterday's answer.
package verify
