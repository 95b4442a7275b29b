package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/json"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Gate applies a set to what a scan finds. It notes which exceptions counted and is
// used by one goroutine at a time.
type Gate struct {
	Set   *Set
	Phase string
	// Mutator tells what mutations would change.
	Mutator Mutator

	used map[*Exception]bool
}

// Judge decides about one scanned asset: as a whole with its image, and about each
// of its objects with the images that it runs. Objects that another one controls are
// judged as their controller's.
func (g *Gate) Judge(asset *seawall.Asset, packages int, findings []seawall.Finding, objects []seawall.Object, now time.Time) []seawall.Decision {
	whole := Input{Phase: g.Phase, Now: now, Asset: asset, Findings: findings, NamespaceName: namespaceOf(asset.Workloads)}
	if asset.Kind == seawall.AssetCluster {
		whole.Cluster = asset.Name
	}
	if asset.Image != nil {
		whole.Images = []Image{ScannedImage(asset, packages, findings, now)}
	}
	if len(objects) == 0 {
		return g.decide(whole)
	}
	about, rest := byResource(findings, objects)
	whole.Findings = rest
	decisions := g.decide(whole)
	namespaces := map[string]map[string]any{}
	for i := range objects {
		if o := &objects[i]; o.Kind == "Namespace" {
			namespaces[o.Name], _ = decode(o.JSON)
		}
	}
	for i := range objects {
		o := &objects[i]
		m, err := decode(o.JSON)
		if err != nil || controlled(m) {
			continue
		}
		in := whole.About(m)
		in.Findings, in.Location, in.Namespace = about[o.Resource()], o.Location, namespaces[o.Namespace]
		in.NamespaceName = o.Namespace
		delete(about, o.Resource()) // of equal names the first has the findings
		decisions = append(decisions, g.decide(in)...)
	}
	return decisions
}

// About is the input with an object, the workload it is and the images it runs.
func (in Input) About(object map[string]any) Input {
	in.Object, in.Workload, in.values = object, WorkloadOf(object), nil
	in.NamespaceName, _ = at(object, "metadata")["namespace"].(string)
	in.Images = in.Workload.images()
	return in
}

func (g *Gate) decide(in Input) []seawall.Decision {
	in.Mutator = g.Mutator
	decisions := g.Set.Decide(in)
	for i := range decisions {
		if name := decisions[i].Exception; name != "" {
			for _, e := range g.Set.Exceptions {
				if e.String() == name && e.Policy == decisions[i].Policy {
					if g.used == nil {
						g.used = map[*Exception]bool{}
					}
					g.used[e] = true
				}
			}
		}
	}
	return decisions
}

// soon is how long before its end an exception is told about.
const soon = 14 * 24 * time.Hour

// Warnings are what the owners of exceptions should know: those that ended, end soon,
// are not allowed, or let nothing pass.
func (g *Gate) Warnings(now time.Time) []string {
	var out []string
	for _, e := range g.Set.Exceptions {
		i := slices.IndexFunc(g.Set.Policies, func(p *Policy) bool { return p.Name == e.Policy })
		what := ""
		switch left := e.Expires.Sub(now); {
		case left <= 0:
			what = "ended on " + e.Expires.Format(time.DateOnly)
		case i >= 0 && !g.Set.Policies[i].Allows(e, now):
			what = "does not count: spec.exceptions of policy " + e.Policy + " does not allow its namespace, or an end so far off"
		case !g.used[e]:
			what = "lets nothing pass"
		case left < soon:
			what = fmt.Sprintf("ends on %s", e.Expires.Format(time.DateOnly))
		default:
			continue
		}
		out = append(out, fmt.Sprintf("exception %s of %s %s", e, e.Owner, what))
	}
	return out
}

// byResource gathers the findings of each object; rest are those of none.
func byResource(findings []seawall.Finding, objects []seawall.Object) (about map[string][]seawall.Finding, rest []seawall.Finding) {
	about = make(map[string][]seawall.Finding, len(objects))
	for i := range objects {
		about[objects[i].Resource()] = nil
	}
	for _, f := range findings {
		resource := ""
		if f.Location != nil {
			resource = f.Location.Resource
		}
		if _, there := about[resource]; there {
			about[resource] = append(about[resource], f)
		} else {
			rest = append(rest, f)
		}
	}
	return about, rest
}

// namespaceOf is the namespace that all workloads ("Deployment/shop/web") are in, or "".
func namespaceOf(workloads []string) string {
	namespace := ""
	for i, w := range workloads {
		parts := strings.Split(w, "/")
		if len(parts) != 3 || i > 0 && parts[1] != namespace {
			return ""
		}
		namespace = parts[1]
	}
	return namespace
}

func decode(text []byte) (map[string]any, error) {
	var m map[string]any
	err := json.UnmarshalCaseSensitivePreserveInts(text, &m)
	return m, err
}

// controlled says whether a controller made the object.
func controlled(object map[string]any) bool {
	owners, _ := at(object, "metadata")["ownerReferences"].([]any)
	return slices.ContainsFunc(owners, func(o any) bool {
		m, _ := o.(map[string]any)
		is, _ := m["controller"].(bool)
		return is
	})
}

// at follows keys down maps; nil where one is missing.
func at(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ = m[k].(map[string]any)
	}
	return m
}

// podPath is where kinds keep their pod spec.
func podPath(kind string) []string {
	switch kind {
	case "Pod":
		return []string{"spec"}
	case "PodTemplate":
		return []string{"template", "spec"}
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController":
		return []string{"spec", "template", "spec"}
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// WorkloadOf is an object as a workload, nil where it makes no pods.
func WorkloadOf(object map[string]any) *Workload {
	kind, _ := object["kind"].(string)
	keys := podPath(kind)
	pod := at(object, keys...)
	if len(keys) == 0 || pod == nil {
		return nil
	}
	meta := at(object, "metadata")
	w := &Workload{Kind: kind, Pod: pod, Labels: texts(meta["labels"]), Annotations: texts(meta["annotations"]), Containers: []any{}}
	w.Name, _ = meta["name"].(string)
	w.Namespace, _ = meta["namespace"].(string)
	w.ServiceAccount, _ = pod["serviceAccountName"].(string)
	path := strings.Join(keys, ".")
	for _, list := range []struct{ key, kind string }{{"initContainers", "init"}, {"containers", "container"}, {"ephemeralContainers", "ephemeral"}} {
		containers, _ := pod[list.key].([]any)
		for i, c := range containers {
			if c, ok := c.(map[string]any); ok {
				c = maps.Clone(c)
				c["_kind"], c["_path"] = list.kind, path+"."+list.key+"["+strconv.Itoa(i)+"]"
				w.Containers = append(w.Containers, c)
			}
		}
	}
	return w
}

func texts(v any) map[string]string {
	m, _ := v.(map[string]any)
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k], _ = v.(string)
	}
	return out
}

// images are those the workload names.
func (w *Workload) images() []Image {
	if w == nil {
		return nil
	}
	var images []Image
	for _, c := range w.Containers {
		c := c.(map[string]any)
		if name, _ := c["image"].(string); name != "" {
			image := NamedImage(name)
			path, _ := c["_path"].(string)
			image.Field = path + ".image"
			images = append(images, image)
		}
	}
	return images
}

// NamedImage is what a reference says of an image. As everywhere, a name without a
// registry is docker.io's, one word of it library's, and without tag or digest the
// tag is latest.
func NamedImage(name string) Image {
	rest, digest, _ := strings.Cut(name, "@")
	i := Image{Registry: "docker.io", Digest: digest}
	if host, path, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		i.Registry, rest = host, path
	}
	if i.Registry == "index.docker.io" {
		i.Registry = "docker.io"
	}
	repository, tag, _ := strings.Cut(rest, ":")
	i.Repository, i.Tag = repository, &tag
	if i.Registry == "docker.io" && !strings.Contains(i.Repository, "/") {
		i.Repository = "library/" + i.Repository
	}
	i.Name = i.Registry + "/" + i.Repository
	if tag == "" && digest == "" {
		tag = "latest"
	}
	if tag != "" {
		i.Name += ":" + tag
	}
	if digest != "" {
		i.Name += "@" + digest
	}
	return i
}

// ScannedImage is what a scan says of an image.
func ScannedImage(asset *seawall.Asset, packages int, findings []seawall.Finding, now time.Time) Image {
	info := asset.Image
	image := Image{Name: asset.Name, Packages: &packages, Labels: info.Labels, User: &info.User, Counts: countsOf(findings)}
	if name, ok := registryName(asset); ok {
		image = mergeNamed(image, NamedImage(name))
	}
	image.Digest = asset.Digest
	if image.Labels == nil {
		image.Labels = map[string]string{}
	}
	if t, err := time.Parse(time.RFC3339, info.Created); err == nil && t.Unix() > 0 {
		age := int(now.Sub(t) / (24 * time.Hour))
		image.Age = &age
	}
	if info.Base != nil {
		image.Base = &info.Base.Name
	}
	if v := info.Verification; v != nil && v.Error == "" {
		signer := ""
		if len(v.Signatures) > 0 {
			signer = v.Signatures[0].Signer
		}
		image.Signed, image.Signer = &v.Verified, &signer
	}
	return image
}

// Reported is the input with the first asset of a report and its findings.
func Reported(report *seawall.Report, in Input) Input {
	if report.Asset == nil {
		return in
	}
	in.Asset = report.Asset
	for _, f := range report.Findings {
		if f.Asset == report.Asset.ID {
			in.Findings = append(in.Findings, f)
		}
	}
	if in.Asset.Kind == seawall.AssetCluster {
		in.Cluster = in.Asset.Name
	}
	if in.Asset.Image != nil {
		in.Images = append(in.Images, ScannedImage(in.Asset, len(report.Packages), in.Findings, in.Now))
	}
	return in
}

func mergeNamed(image, named Image) Image {
	image.Name, image.Registry, image.Repository, image.Tag = named.Name, named.Registry, named.Repository, named.Tag
	return image
}

// registryName is the image's name in a registry, where it has one: a layout or an
// archive on a disk may name none, or a tag alone.
func registryName(asset *seawall.Asset) (string, bool) {
	for _, name := range append(slices.Clone(asset.Image.RepoTags), asset.Image.RepoDigests...) {
		if strings.ContainsAny(name, ":/@") {
			return name, true
		}
	}
	return "", false
}

func countsOf(findings []seawall.Finding) *Counts {
	c := &Counts{}
	by := map[seawall.Severity]*int{
		seawall.SeverityCritical: &c.Critical, seawall.SeverityHigh: &c.High, seawall.SeverityMedium: &c.Medium,
		seawall.SeverityLow: &c.Low, seawall.SeverityNegligible: &c.Negligible, seawall.SeverityUnknown: &c.Unknown,
	}
	for i := range findings {
		if findings[i].Status == seawall.StatusFail {
			*by[findings[i].Severity]++
		}
	}
	return c
}
