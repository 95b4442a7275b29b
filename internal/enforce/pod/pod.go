// Package pod asks the API server to act on pods: delete one, so that its controller
// starts it anew from its image, or set one apart, so that its controller starts
// another one and this one stays as it is.
//
// It speaks HTTPS and JSON with the agent's service account and nothing more: the
// agent does not link client-go. Every request names the pod's UID, so a later pod of
// the same name is never meant.
package pod

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Quarantined is the label of a pod that was set apart; Labels is the annotation
// with the labels it had, as JSON, and Reason the one that says why.
const (
	Quarantined = "seawall.io/quarantined"
	Labels      = "seawall.io/quarantined-labels"
	Reason      = "seawall.io/quarantined-reason"
)

// Config is the way to the API server.
type Config struct {
	// Server is its address, "https://10.96.0.1:443".
	Server string
	// CAFile is a PEM file with who signed its certificate.
	CAFile string
	// TokenFile is read anew for every request: the kubelet renews it.
	TokenFile string
	// CertFile and KeyFile are a client certificate, where there is one.
	CertFile, KeyFile string
}

// Client acts on pods.
type Client struct {
	config Config
	http   *http.Client
}

// New returns a Client. It opens no connection.
func New(c Config) (*Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the API server's authority: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it: %w", c.CAFile, seawall.ErrCorrupt)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: settings, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true}
	return &Client{c, &http.Client{Transport: transport, Timeout: 15 * time.Second}}, nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Get is a pod as the API server has it, JSON.
func (c *Client) Get(ctx context.Context, namespace, name string) ([]byte, error) {
	body, err := c.do(ctx, http.MethodGet, podPath(namespace, name), "", nil)
	if err != nil {
		return nil, fmt.Errorf("reading pod: %w", err)
	}
	return body, nil
}

// Delete deletes the pod of an action. Its processes are killed after a second; the
// name is free when the kubelet has confirmed that they are gone.
func (c *Client) Delete(ctx context.Context, a *enforce.Action) enforce.Outcome {
	path, uid, err := pathOf(&a.Subject)
	if err != nil {
		return enforce.Outcome{Err: err}
	}
	_, err = c.do(ctx, http.MethodDelete, path, "application/json", map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 1, "preconditions": map[string]string{"uid": uid},
	})
	if err != nil {
		return enforce.Outcome{Err: fmt.Errorf("deleting pod: %w", err)}
	}
	return enforce.Outcome{Detail: fmt.Sprintf("pod %s/%s is being deleted", a.Subject.Container.Namespace, a.Subject.Container.Pod)}
}

// SetApart takes a pod's labels away and keeps them in an annotation: no Service sends
// it requests any more, and its controller starts another one in its stead.
func (c *Client) SetApart(ctx context.Context, s *seawall.Subject, reason string) error {
	p, path, err := c.get(ctx, s)
	if err != nil || p.Metadata.Labels[Quarantined] != "" {
		return err
	}
	had, err := json.Marshal(p.Metadata.Labels)
	if err != nil {
		return err
	}
	labels := map[string]any{Quarantined: "true"}
	for name := range p.Metadata.Labels {
		labels[name] = nil
	}
	return c.patch(ctx, path, p, labels, map[string]any{Labels: string(had), Reason: reason})
}

// Return gives a pod that was set apart its labels back. A controller that has a
// replacement by then will end one of the two.
func (c *Client) Return(ctx context.Context, s *seawall.Subject) error {
	p, path, err := c.get(ctx, s)
	if err != nil || p.Metadata.Annotations[Labels] == "" {
		return err
	}
	labels := map[string]any{}
	if err := json.Unmarshal([]byte(p.Metadata.Annotations[Labels]), &labels); err != nil {
		return fmt.Errorf("annotation %s: %w", Labels, err)
	}
	labels[Quarantined] = nil
	return c.patch(ctx, path, p, labels, map[string]any{Labels: nil, Reason: nil})
}

// Apart says whether a pod that was set apart still is: whoever takes its label
// Quarantined away wants it released.
func (c *Client) Apart(ctx context.Context, s *seawall.Subject) (bool, error) {
	p, _, err := c.get(ctx, s)
	return err == nil && p.Metadata.Labels[Quarantined] != "", err
}

// object is what is read of a pod.
type object struct {
	Metadata struct {
		UID             string            `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

func (c *Client) get(ctx context.Context, s *seawall.Subject) (*object, string, error) {
	path, uid, err := pathOf(s)
	if err != nil {
		return nil, "", err
	}
	body, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, "", fmt.Errorf("reading pod: %w", err)
	}
	p := new(object)
	if err := json.Unmarshal(body, p); err != nil {
		return nil, "", fmt.Errorf("reading pod: %w", err)
	}
	if p.Metadata.UID != uid {
		return nil, "", fmt.Errorf("pod %s has UID %s, not %s: %w", path, p.Metadata.UID, uid, enforce.ErrGone)
	}
	return p, path, nil
}

// patch changes labels and annotations of the very pod that was read.
func (c *Client) patch(ctx context.Context, path string, p *object, labels, annotations map[string]any) error {
	_, err := c.do(ctx, http.MethodPatch, path, "application/merge-patch+json", map[string]any{"metadata": map[string]any{
		"uid": p.Metadata.UID, "resourceVersion": p.Metadata.ResourceVersion, "labels": labels, "annotations": annotations,
	}})
	if err != nil {
		return fmt.Errorf("labelling pod: %w", err)
	}
	return nil
}

func pathOf(s *seawall.Subject) (path, uid string, err error) {
	if s.Container == nil || s.Container.Namespace == "" || s.Container.Pod == "" || s.Container.PodUID == "" {
		return "", "", fmt.Errorf("no pod, or no UID of it: %w", enforce.ErrIdentity)
	}
	k := s.Container
	return podPath(k.Namespace, k.Pod), k.PodUID, nil
}

func podPath(namespace, name string) string {
	return "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(name)
}

// maxAnswer bounds what is read of an answer: a pod is at most 1.5 MiB in etcd.
const maxAnswer = 4 << 20

func (c *Client) do(ctx context.Context, method, path, contentType string, body any) ([]byte, error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.config.Server+path, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.config.TokenFile != "" {
		token, err := os.ReadFile(c.config.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("service account token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return answer, refusal(resp.StatusCode, answer)
}

// refusal is the error of an answer: a Status object says why.
func refusal(code int, answer []byte) error {
	if code < 300 {
		return nil
	}
	var status struct{ Message string }
	if json.Unmarshal(answer, &status) != nil || status.Message == "" {
		status.Message = http.StatusText(code)
	}
	err := fmt.Errorf("the API server says %d: %.500s", code, status.Message)
	switch code {
	case http.StatusNotFound, http.StatusConflict:
		return errors.Join(err, enforce.ErrGone)
	case http.StatusForbidden, http.StatusUnauthorized:
		return seawall.WithHint(err, "the agent's ClusterRole needs get, patch and delete of pods")
	}
	return err
}
