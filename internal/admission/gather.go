package admission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

// namespace fills in the request's Namespace.
func (h *Handler) namespace(ctx context.Context, r *Request, in *policy.Input) {
	switch {
	case r.Kind == "Namespace" && r.Group == "":
		in.Namespace = r.subject()
	case r.Namespace != "" && h.config.Namespace != nil:
		namespace, err := h.config.Namespace(ctx, r.Namespace)
		if err != nil {
			h.config.Log.Warn("namespace not known", "namespace", r.Namespace, "error", err)
			return
		}
		in.Namespace = namespace
	}
}

// gather finds out what a question's policies ask about. Its error says that they
// cannot be judged.
func (h *Handler) gather(ctx context.Context, q *question) error {
	if q.wants.Objects() {
		findings, err := h.controls(ctx, q)
		if err != nil {
			return err
		}
		q.in.Findings = findings
	}
	h.learn(ctx, q)
	if q.wants.FirstSeen && h.config.Sightings != nil && len(q.in.Findings) > 0 {
		ids := make([]string, len(q.in.Findings))
		for i := range q.in.Findings {
			ids[i] = q.in.Findings[i].ID
		}
		seen, err := h.config.Sightings.FirstSeen(ctx, ids)
		if err != nil {
			return err
		}
		q.see(seen)
	}
	return nil
}

func (q *question) see(seen map[string]time.Time) {
	if q.in.FirstSeen == nil {
		q.in.FirstSeen = map[string]time.Time{}
	}
	maps.Copy(q.in.FirstSeen, seen)
}

// learn fills in what the policies ask about the object's images, all images at once.
func (h *Handler) learn(ctx context.Context, q *question) {
	if len(q.in.Images) == 0 {
		return
	}
	from := puller(q)
	set, wait := q.snapshot.set, slices.ContainsFunc(q.policies, func(p *asked) bool { return p.UnknownImages == "wait" })
	wants := q.wants
	wants.Scan = wants.Scan || slices.ContainsFunc(q.policies, func(p *asked) bool { return p.UnknownImages != "allow-and-scan" })
	if deadline, ok := ctx.Deadline(); ok {
		// Half of the time is for the images; who takes longer is not known in time.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	seen := make([]map[string]time.Time, len(q.in.Images))
	var all sync.WaitGroup
	for i := range q.in.Images {
		learn := func() {
			image, from := &q.in.Images[i], from
			from.Name = image.Name
			err := safely(h.config.Log, func() error {
				seen[i] = h.images.learn(ctx, image, from, set, &wants, wait)
				return nil
			})
			if err != nil {
				image.Unscanned, image.Unreached = err.Error(), err.Error()
			}
		}
		if i == len(q.in.Images)-1 { // one of them needs no goroutine
			learn()
		} else {
			all.Go(learn)
		}
	}
	all.Wait()
	for _, s := range seen {
		if len(s) > 0 {
			q.see(s)
		}
	}
}

// puller is who pulls the images of the question's workload.
func puller(q *question) Image {
	from := Image{Namespace: q.in.NamespaceName, ServiceAccount: q.in.Workload.ServiceAccount}
	secrets, _ := q.in.Workload.Pod["imagePullSecrets"].([]any)
	for _, s := range secrets {
		if s, ok := s.(map[string]any); ok && text(s, "name") != "" {
			from.PullSecrets = append(from.PullSecrets, text(s, "name"))
		}
	}
	return from
}

// mutator changes pods. It asks what tags are while it does, and keeps the answers.
func (h *Handler) mutator(ctx context.Context, q *question) policy.Mutator {
	return mutate.New(func(name string) (string, error) {
		from := puller(q)
		from.Name = name
		return h.images.resolve(ctx, from)
	})
}

// controls are the findings of the detectors about the question's object.
func (h *Handler) controls(ctx context.Context, q *question) ([]seawall.Finding, error) {
	if len(h.config.Detectors) == 0 {
		return nil, nil
	}
	resource := q.resource()
	if q.Group != "" || q.Kind != "Pod" {
		return h.detect(ctx, q, resource)
	}
	key, err := likeness(q.in.Object)
	if err != nil {
		return nil, err
	}
	found, err := h.found.get(ctx, key, func(ctx context.Context) ([]seawall.Finding, time.Duration, error) {
		findings, err := h.detect(ctx, q, resource)
		return findings, keepFindings, err
	})
	if err != nil {
		return nil, err
	}
	findings := slices.Clone(found)
	for i := range findings {
		f := &findings[i]
		location := *f.Location
		location.Resource = resource
		f.Location, f.Locations = &location, []seawall.Location{location}
		f.ID = identity(f)
	}
	return findings, nil
}

// keepFindings is how long the findings of a pod count for pods like it.
const keepFindings = 10 * time.Minute

// likeness is equal for pods that differ in nothing but their name and the name of
// their token's volume: what a controller makes of one template.
func likeness(pod map[string]any) (string, error) {
	alike := maps.Clone(pod)
	if meta, ok := pod["metadata"].(map[string]any); ok {
		meta = maps.Clone(meta)
		for _, key := range []string{"name", "uid", "creationTimestamp", "managedFields", "resourceVersion"} {
			delete(meta, key)
		}
		alike["metadata"] = meta
	}
	text, err := json.Marshal(alike)
	if err != nil {
		return "", fmt.Errorf("the object: %w", err)
	}
	const token, random = "kube-api-access-", 5
	for rest := text; ; {
		i := bytes.Index(rest, []byte(token))
		if i < 0 || len(rest) < i+len(token)+random {
			break
		}
		rest = rest[i+len(token):]
		clear(rest[:random])
	}
	sum := sha256.Sum256(text)
	return string(sum[:]), nil
}

// detect has all detectors judge the question's object.
func (h *Handler) detect(ctx context.Context, q *question, resource string) ([]seawall.Finding, error) {
	object, err := json.Marshal(q.in.Object)
	if err != nil {
		return nil, fmt.Errorf("the object: %w", err)
	}
	_, name, _ := cutLast(resource, "/")
	o := seawall.Object{APIVersion: text(q.in.Object, "apiVersion"), Kind: q.Kind, Namespace: q.in.NamespaceName, Name: name, JSON: object}
	facts := detect.Facts{Asset: seawall.Asset{ID: "cluster:" + h.config.Cluster, Kind: seawall.AssetManifests, Name: h.config.Cluster}, Objects: []seawall.Object{o}, Now: q.in.Now}
	var findings []seawall.Finding
	for _, d := range h.config.Detectors {
		result, err := d.Detect(ctx, facts)
		if err != nil {
			return nil, fmt.Errorf("controls of %s: %w", d.Name(), err)
		}
		for i := range result.Findings {
			f := &result.Findings[i]
			if f.Status != seawall.StatusFail || f.Location == nil || f.Location.Resource != resource {
				continue
			}
			f.Asset = facts.Asset.ID
			if h.config.Frameworks != nil {
				f.Frameworks = h.config.Frameworks(f, facts.Now)
			}
			f.ID = identity(f)
			findings = append(findings, *f)
		}
	}
	return findings, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// identity is a finding's identifier: the same for the same problem at the same place.
func identity(f *seawall.Finding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Asset, string(f.Kind), f.Rule, f.Location.Resource, f.Location.Field, f.Evidence}, "\x00")))
	return hex.EncodeToString(sum[:16])
}
