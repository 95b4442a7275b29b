// Package rules judges streams of events by rules in Falco's language, so that
// rule files people already have work unchanged.
//
// Files are read into one Set (Load: lists, macros and rules, later ones
// appending to or overriding earlier ones), which Compile turns into an Engine:
// lists and macros expanded, exceptions added, equal parts of conditions shared,
// rules indexed by the event types they can be true for. A State, one per
// goroutine, matches events against an Engine without allocating; a Record is
// how an event answers for its fields.
//
// A value an event does not have makes any comparison with it false, and its
// negation true. A rule that asks for a field nothing fills is not run: its
// Status says so.
//
// Sources: the rules reference of Falco (https://falco.org/docs/reference/rules/)
// and of the k8saudit plugin.
package rules
