// Package java finds what is in Java archives, at any nesting, and which Java
// runtime a directory holds.
//
// Data flows one way:
//
//	archive bytes -> directory (zip.go: bounded, nothing kept) -> the few entries that
//	name software (pom.properties, the manifest, archives inside) -> identity -> packages
//
// An archive is known, best first, by the pom.properties files in it (all of
// them: a shaded archive has many), by a group id its manifest states, or by an
// artifact name that only one group is known to publish. An archive that none
// of these name is reported in the ecosystem "Java", not "Maven": a file name
// alone must never be matched against advisories.
//
// Archives stored without compression are read where they lie; others are
// inflated into memory charged to File.Budget. Depth, number and size of what
// is inside are bounded, and the bounds are reported, never silently applied.
package java
