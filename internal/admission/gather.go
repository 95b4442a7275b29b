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
	if q.in.Own == nil && q.wants.Objects() && len(h.config.Detectors) > 0 {
		var err error
		if q.in.Own, err = h.controls(ctx, q); err != nil {
			return err
		}
	}
	h.learn(ctx, q)
	if own := q.in.Own; own != nil && q.wants.FirstSeen && h.config.Sightings != nil {
		ids := make([]string, len(own.Findings))
		for i := range own.Findings {
			ids[i] = own.Findings[i].ID
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
				image.Unscanned, image.Unscannable, image.Unreached = err.Error(), true, err.Error()
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

// found are the findings about an object, prepared for a set.
type found struct {
	*policy.Scan
	set *policy.Set
}

// weight is how many findings there are.
func (f found) weight() int {
	if f.Scan == nil {
		return 0
	}
	return len(f.Findings)
}

// controls are what the detectors find about the question's object. What is applied again
// and again, and the pods of one template, are judged once.
func (h *Handler) controls(ctx context.Context, q *question) (*policy.Scan, error) {
	set := q.snapshot.set
	detect := func(ctx context.Context) (found, time.Duration, error) {
		findings, err := h.detect(ctx, q)
		return found{set.Scanned(policy.PhaseDeploy, nil, findings), set}, keepFindings, err
	}
	key, err := likeness(q.in.Object)
	if err != nil {
		return nil, err
	}
	f, err := h.found.get(ctx, key, detect)
	if err == nil && f.set != set { // other policies came: they ask about other findings
		h.found.entries.Remove(key)
		f, _, err = detect(ctx)
	}
	return f.Scan, err
}

// keepFindings is how long the findings of an object count for those like it.
const keepFindings = 10 * time.Minute

// likeness is equal for objects that differ in nothing but what the API server and
// controllers note about them; pods whose names were made up also in these and in the
// name of their token's volume, since a controller makes many of one template.
func likeness(object map[string]any) (string, error) {
	alike := essence(object)
	meta, _ := alike["metadata"].(map[string]any)
	delete(meta, "uid")
	delete(meta, "creationTimestamp")
	if original, _ := object["metadata"].(map[string]any); original["ownerReferences"] != nil {
		meta["ownerReferences"] = original["ownerReferences"] // controls look for pods that nobody owns
	}
	if object["kind"] == "Pod" && text(meta, "generateName") != "" {
		delete(meta, "name")
	}
	body, err := json.Marshal(alike)
	if err != nil {
		return "", fmt.Errorf("the object: %w", err)
	}
	maskTokens(body)
	sum := sha256.Sum256(body)
	return string(sum[:]), nil
}

// maskTokens takes out of JSON what is random in the names of tokens' volumes.
func maskTokens(body []byte) {
	const name, random = `"kube-api-access-`, 5
	for {
		i := bytes.Index(body, []byte(name))
		if i < 0 || len(body) <= i+len(name)+random {
			return
		}
		body = body[i+len(name):]
		letters := bytes.IndexFunc(body, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
		if letters == random && body[random] == '"' {
			clear(body[:random])
		}
	}
}

// detect has all detectors judge the question's object.
func (h *Handler) detect(ctx context.Context, q *question) ([]seawall.Finding, error) {
	object, err := json.Marshal(q.in.Object)
	if err != nil {
		return nil, fmt.Errorf("the object: %w", err)
	}
	resource := q.resource()
	name := resource[strings.LastIndexByte(resource, '/')+1:]
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
			f.ID = q.identity(f)
			findings = append(findings, *f)
		}
	}
	return findings, nil
}

// identity is a finding's identifier: the same for the same problem at the same place,
// and for all pods that a controller makes of a template.
func (q *question) identity(f *seawall.Finding) string {
	resource := f.Location.Resource
	meta, _ := q.in.Object["metadata"].(map[string]any)
	if name := text(meta, "generateName"); name != "" {
		resource = q.Kind + "/" + q.in.NamespaceName + "/" + name
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Asset, string(f.Kind), f.Rule, resource, f.Location.Field, f.Evidence}, "\x00")))
	return hex.EncodeToString(sum[:16])
}
