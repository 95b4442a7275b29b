package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seawall-security/seawall/internal/seawall"
)

// explain says in the user's words what went wrong with a reference, and what to do.
func explain(ref string, r name.Reference, err error) error {
	host := r.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	var hinted *seawall.Hinted
	if errors.As(err, &hinted) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", ref, err)
	}
	// The connection first: where HTTPS and plain HTTP were both tried, what the latter answered says little.
	if what, hint := explainConnection(host, err); what != "" {
		return seawall.WithHint(fmt.Errorf("%s: %w: %s: %w", ref, seawall.ErrUnreadable, what, err), hint)
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return explainStatus(ref, host, answer)
	}
	return fmt.Errorf("%s: %w", ref, marked(err))
}

// marked gives an error of the network the sentinel it lacks.
func marked(err error) error {
	for _, known := range []error{seawall.ErrCorrupt, seawall.ErrBound, seawall.ErrUnreadable, seawall.ErrUsage} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
}

// explainStatus is for what the registry answered.
func explainStatus(ref, host string, answer *transport.Error) error {
	var what, hint string
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		what = host + " wants a login, or the password is wrong (401)"
		hint = "log in with docker login " + host + " or podman login " + host + "; a repository that does not exist is answered in the same way"
	case http.StatusForbidden:
		what = host + " denies access (403)"
		hint = "check that the account logged in to " + host + " may pull this repository"
	case http.StatusNotFound:
		what = "there is no such image or tag at " + host + " (404)"
		hint = "check the spelling of name and tag"
	case http.StatusTooManyRequests:
		what = host + " allows no more pulls for now (429)"
		hint = "wait, log in with docker login " + host + " for a higher limit, or scan from a mirror"
	default:
		what = fmt.Sprintf("%s answered %d %s", host, answer.StatusCode, http.StatusText(answer.StatusCode))
		hint = "try again later"
	}
	return seawall.WithHint(fmt.Errorf("%s: %w: %s: %w", ref, seawall.ErrUnreadable, what, answer), hint)
}

// explainConnection is for what kept us from an answer; "" when it is none of the usual things.
func explainConnection(host string, err error) (what, hint string) {
	insecure := "if you trust the network between here and there, add --insecure " + host
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &authority):
		return "the certificate of " + host + " is signed by an unknown authority",
			"put the authority's certificate in /etc/docker/certs.d/" + host + "/ca.crt; " + insecure
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return "the certificate of " + host + " is not valid", "check the registry's name and certificate; " + insecure
	case errors.As(err, &record), errors.Is(err, errPlain), strings.Contains(err.Error(), "HTTP response to HTTPS client") && !plainTried(err):
		return host + " speaks plain HTTP", insecure
	case errors.As(err, &dns):
		return "the name " + host + " is not known", "check the registry's name and this machine's DNS"
	case errors.As(err, &op) && op.Op == "dial":
		return host + " cannot be reached", "check the registry's address, the network and HTTPS_PROXY"
	}
	return "", ""
}

// plainTried tells that plain HTTP was answered, so that it is not the trouble.
func plainTried(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer)
}
