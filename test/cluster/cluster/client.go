package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/test/cluster/pki"
	"go.yaml.in/yaml/v3"
)

// Client speaks to the API server in plain HTTP and JSON. Paths are the API's:
// /api/v1/namespaces/default/pods.
type Client struct {
	url  string
	http *http.Client
}

// Object is a Kubernetes object, a list of them, or a part of one.
type Object map[string]any

// StatusError is the API server's refusal.
type StatusError struct {
	Code            int
	Reason, Message string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message) }

// Code is the HTTP status of a refusal, 0 for any other error.
func Code(err error) int {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

func (c *Cluster) client(t testing.TB, user pki.Pair) *Client {
	t.Helper()
	return newClient(t, c.URL, c.CA(t), user)
}

func newClient(t testing.TB, url string, ca []byte, user pki.Pair) *Client {
	t.Helper()
	pair, err := tls.X509KeyPair(user.Cert, user.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{url: url, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// Stored is what etcd has under a key, such as /registry/secrets/default/name.
func (c *Cluster) Stored(t testing.TB, key string) []byte {
	t.Helper()
	user := pki.Pair{Cert: c.read(t, "pki/apiserver-etcd-client.crt"), Key: c.read(t, "pki/apiserver-etcd-client.key")}
	etcd := newClient(t, "https://"+net.JoinHostPort(c.Address, "2379"), c.read(t, "pki/etcd/ca.crt"), user)
	answer, err := etcd.Post(t.Context(), "/v3/kv/range", map[string]any{"key": []byte(key)})
	if err != nil {
		t.Fatal(err)
	}
	found := answer.List("kvs")
	if len(found) == 0 {
		t.Fatalf("etcd has no %s", key)
	}
	value, err := base64.StdEncoding.DecodeString(found[0].String("value"))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Do sends one request. The body is JSON unless contentType says otherwise; it may be nil.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType == "" {
		contentType = "application/json"
	}
	request.Header.Set("Content-Type", contentType)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		status := &StatusError{}
		if json.Unmarshal(answer, status) != nil || status.Message == "" {
			status.Message = string(answer)
		}
		status.Code = response.StatusCode
		return nil, fmt.Errorf("%s %s: %w", method, path, status)
	}
	return answer, nil
}

func (c *Client) object(ctx context.Context, method, path, contentType string, body any) (Object, error) {
	var data []byte
	var err error
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	answer, err := c.Do(ctx, method, path, contentType, data)
	if err != nil {
		return nil, err
	}
	var o Object
	if err := json.Unmarshal(answer, &o); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return o, nil
}

// Get reads an object or a list.
func (c *Client) Get(ctx context.Context, path string) (Object, error) {
	return c.object(ctx, http.MethodGet, path, "", nil)
}

// Post creates an object.
func (c *Client) Post(ctx context.Context, path string, body any) (Object, error) {
	return c.object(ctx, http.MethodPost, path, "", body)
}

// Patch merges fields into an object.
func (c *Client) Patch(ctx context.Context, path string, fields any) (Object, error) {
	return c.object(ctx, http.MethodPatch, path, "application/merge-patch+json", fields)
}

// Delete removes an object, at once where it is a pod. That there is none is no error.
func (c *Client) Delete(ctx context.Context, path string) error {
	_, err := c.object(ctx, http.MethodDelete, path, "", map[string]any{"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
	if Code(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// Path finds where objects of a kind are in the API. An empty name is the collection.
// The namespace is left out for kinds that have none.
func (c *Client) Path(ctx context.Context, apiVersion, kind, namespace, name string) (string, error) {
	root := "/api/" + apiVersion
	if strings.Contains(apiVersion, "/") {
		root = "/apis/" + apiVersion
	}
	list, err := c.Get(ctx, root)
	if err != nil {
		return "", err
	}
	for _, r := range list.List("resources") {
		resource := r.String("name")
		if r.String("kind") != kind || strings.Contains(resource, "/") {
			continue
		}
		path := root
		if namespaced, _ := r["namespaced"].(bool); namespaced {
			path += "/namespaces/" + namespace
		}
		path += "/" + resource
		if name != "" {
			path += "/" + name
		}
		return path, nil
	}
	return "", fmt.Errorf("the API server knows no %s in %s", kind, apiVersion)
}

// ApplyObject creates an object or sets the fields that it has (server-side apply).
func (c *Client) ApplyObject(ctx context.Context, namespace string, o Object) (Object, error) {
	if own := o.String("metadata", "namespace"); own != "" {
		namespace = own
	}
	path, err := c.Path(ctx, o.String("apiVersion"), o.String("kind"), namespace, o.Name())
	if err != nil {
		return nil, err
	}
	return c.object(ctx, http.MethodPatch, path+"?fieldManager=test&force=true", "application/apply-patch+yaml", o)
}

// Apply applies every document of YAML manifests, in namespace where they name none.
func (c *Client) Apply(t testing.TB, namespace, manifests string) []Object {
	t.Helper()
	var applied []Object
	for _, o := range Parse(t, manifests) {
		answer, err := c.ApplyObject(t.Context(), namespace, o)
		if err != nil {
			t.Fatalf("applying %s %s: %v", o.String("kind"), o.Name(), err)
		}
		applied = append(applied, answer)
	}
	return applied
}

// Parse reads the documents of YAML manifests.
func Parse(t testing.TB, manifests string) []Object {
	t.Helper()
	var objects []Object
	for d := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var o Object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("manifests: %v", err)
		}
		if o != nil {
			objects = append(objects, o)
		}
	}
}

// Name is metadata.name.
func (o Object) Name() string { return o.String("metadata", "name") }

// At is the value at a path of field names, nil when there is none.
func (o Object) At(path ...string) any {
	var value any = map[string]any(o)
	for _, field := range path {
		switch m := value.(type) {
		case map[string]any:
			value = m[field]
		case Object:
			value = m[field]
		default:
			return nil
		}
	}
	return value
}

// String is the text at a path of field names, empty when there is none.
func (o Object) String(path ...string) string {
	s, _ := o.At(path...).(string)
	return s
}

// List is the list of objects at a path of field names.
func (o Object) List(path ...string) []Object {
	values, _ := o.At(path...).([]any)
	var list []Object
	for _, v := range values {
		switch m := v.(type) {
		case map[string]any:
			list = append(list, m)
		case Object:
			list = append(list, m)
		}
	}
	return list
}
