package permission

import (
	"fmt"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
)

// BenchmarkExec is a program of a container, watched and not: fork, exec and exit, as a shell does them.
func BenchmarkExec(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("watched %t", watched), func(b *testing.B) {
			c := enforcetest.NewShell(b)
			if watched {
				guard(b, c, func(*Exec) bool { return false }, 10*time.Second)
			}
			b.ResetTimer()
			c.Run(fmt.Sprintf("for ((i = 0; i < %d; i++)); do /bin/true; done", b.N))
		})
	}
}
