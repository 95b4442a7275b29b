package kernel

import (
	"os"
	"testing"

	"github.com/seawall-security/seawall/internal/testenv"
)

// Where this process is in the first PID namespace, as tests are, both count alike.
func TestOwnPID(t *testing.T) {
	testenv.Root(t)
	if got, err := ownPID(); err != nil || int(got) != os.Getpid() {
		t.Errorf("%d, %v, want %d", got, err, os.Getpid())
	}
}
