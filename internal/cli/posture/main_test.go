package posture_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
