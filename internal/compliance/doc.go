// Package compliance answers for a framework (PCI DSS, NIST SP 800-190, a CIS
// benchmark, …) which of its requirements hold, by what evidence, and what
// could not be shown.
//
//	topics.yaml         subject → rules, benchmark numbers, kinds of finding      ┐
//	frameworks/*.yaml   requirement → topics, and the same directly               │
//	benchmarks/*.csv    number, role, assessment (controls name the numbers)      ├─► Evaluate ─► Report ─► view
//	[]Control           every rule of every detector of this program              │
//	[]Input             scan reports, one or many                                 ┘
//
// A requirement is judged by its checks. A check is one rule (SW-POD-001) or
// one kind of finding ("vulnerabilities of high severity with a fix older than
// 30 days"). The status of a check is the first of these that holds:
//
//	fail            an unsuppressed failing finding
//	not-evaluated   a finding says that it could not be evaluated; or the detector failed, or was
//	                partial, on something it judges; or packages have no advisories (vulnerabilities)
//	manual          the rule is one that only a person can judge
//	pass            a finding says pass, or only suppressed ones were found (counted as exceptions),
//	                or the detector, one that reports only what is wrong, did all its work on at
//	                least one asset of a sort it judges
//	not-applicable  findings say so and nothing else
//	not-evaluated   else: nothing looked
//
// The status of a requirement is the first of these that holds:
//
//	fail            a check fails
//	not-evaluated   a check was not evaluated; or there is no check although a machine could show
//	                it: no rule of this version covers it
//	manual          nothing failed, and a check is a person's work; or there is no check at all
//	pass            a check passed
//	not-applicable  every check is not applicable
//
// So a pass is never made of silence. What no tool can show (documents, people,
// contracts) is told per requirement in ByHand; it is not part of the status.
//
// The Mapper is the same mapping the other way: it gives a finding the
// identifiers ("pci-dss-4.0:6.3.3") of the requirements it is evidence for, while it is made.
package compliance
