// Package actor says who is behind what happens, where one stream alone does not.
//
//	audit log: exec requests  ─┐
//	                           ├─► Sessions ─► the user behind a process and its children
//	kernel: first processes   ─┘
//	audit log: credentials and addresses ─► Credentials ─► findings of tokens used from two places
//
// Both are pure: times come with what is told, and state is bounded. Neither is safe
// for concurrent use.
package actor
