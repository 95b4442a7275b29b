// Package archive opens images kept in files: an OCI image layout as a
// directory (oci:DIR) or a tar (oci-archive:TAR), and the tar that docker save
// and podman save write (docker-archive:TAR, docker-archive:-).
//
// Both kinds of place become a bundle: named files with random access. A
// plain tar is indexed by one pass over its headers and then read in place. What
// cannot be read twice (standard input, an engine's export, a compressed tar) is
// first spooled to a temporary file that has no name, so that nothing stays
// behind whatever ends the process.
//
// After TAR or DIR an image can be chosen: ":TAG", ":NAME:TAG" or "@sha256:…".
package archive
