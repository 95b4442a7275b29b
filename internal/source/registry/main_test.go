package registry_test

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seawall-security/seawall/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, remote.DefaultTransport.(*http.Transport).CloseIdleConnections)
}
