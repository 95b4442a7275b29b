package rootfs

import (
	"io/fs"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// fileInfo implements fs.FileInfo in 72 bytes.
type fileInfo struct {
	name     string
	size     int64
	modified int64 // nanoseconds since 1970
	mode     fs.FileMode
	owner    seawall.Ownership
	// capability is the extended attribute security.capability of a program.
	capability string
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) Mode() fs.FileMode  { return i.mode }
func (i *fileInfo) ModTime() time.Time { return time.Unix(0, i.modified) }
func (i *fileInfo) IsDir() bool        { return i.mode.IsDir() }

// Capability returns the extended attribute security.capability; nil when there is none.
func (i *fileInfo) Capability() []byte { return []byte(i.capability) }

// Sys returns the owner: seawall.Ownership.
func (i *fileInfo) Sys() any { return i.owner }
