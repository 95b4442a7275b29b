// Package image is a container image as a seawall.Target, wherever its blobs lie.
//
// The packages that know a place (a layout directory, an archive, a registry,
// containerd) hand over either a Store to resolve a manifest from (Open) or
// Parts already taken apart (New). Both end in one Target that fills
// Asset.Image from the configuration and walks layers.
//
// A layer flows through up to three goroutines joined by bounded rings of
// buffers, so that reading and hashing, inflating, and parsing overlap:
//
//	stored bytes -> size and digest check -> gzip | zstd | plain -> bounds -> tar -> Entry
//
// What the tar reader does not need is skipped in the ring without a copy.
//
// Names are made safe the way a runtime would place them: rooted, cleaned,
// ".." clamped at the root. A byte that is not valid UTF-8 becomes the four
// characters \xNN, so that two different names stay different.
package image
