package incident

import (
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The bounds of what is remembered.
const (
	maxImages    = 4096
	maxPackages  = 50
	maxDeployers = 8192
)

// Knowledge is what scan reports say of images that may run here: which of their
// packages have vulnerabilities known to be exploited, and which policies they break.
type Knowledge struct {
	images map[string]*image // by every digest the image has
}

type image struct {
	seawall.IncidentCause
	prevention []string
}

// Add takes a report of images in. prevention names the policies that would have
// stopped the report's first image before it ran.
func (k *Knowledge) Add(r *seawall.Report, prevention []string) {
	if k.images == nil {
		k.images = map[string]*image{}
	}
	byAsset := map[string]*image{}
	assets := r.Assets
	if r.Asset != nil {
		assets = slices.Concat([]seawall.Asset{*r.Asset}, r.Assets)
	}
	for i, a := range assets {
		if a.Kind != seawall.AssetImage || len(k.images) >= maxImages {
			continue
		}
		known := &image{IncidentCause: seawall.IncidentCause{Image: a.Name, Digest: a.Digest}}
		if i == 0 {
			known.prevention = prevention
		}
		byAsset[a.ID] = known
		for _, digest := range digests(&a) {
			k.images[digest] = known
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if known := byAsset[f.Asset]; known != nil && f.Status == seawall.StatusFail && f.Vulnerability != nil && f.Vulnerability.KEV && f.Package != nil {
			known.add(f)
		}
	}
}

// digests are those a container runtime may know an image by.
func digests(a *seawall.Asset) []string {
	out := []string{a.Digest}
	if a.Image != nil {
		out = append(out, a.Image.ConfigDigest)
		for _, ref := range a.Image.RepoDigests {
			_, digest, _ := strings.Cut(ref, "@")
			out = append(out, digest)
		}
	}
	return slices.DeleteFunc(out, func(d string) bool { return d == "" })
}

// add notes a vulnerability with its package. Layer is that of the first package.
func (im *image) add(f *seawall.Finding) {
	id := f.Vulnerability.ID
	for _, alias := range f.Vulnerability.Aliases {
		if strings.HasPrefix(alias, "CVE-") && !strings.HasPrefix(id, "CVE-") {
			id = alias
		}
	}
	i := slices.IndexFunc(im.Packages, func(p seawall.IncidentPackage) bool {
		return p.Name == f.Package.Name && p.Version == f.Package.Version && p.Ecosystem == f.Package.Ecosystem
	})
	if i < 0 {
		if len(im.Packages) >= maxPackages {
			return
		}
		im.Packages = append(im.Packages, seawall.IncidentPackage{PackageRef: *f.Package, InUse: f.InUse})
		i = len(im.Packages) - 1
		if im.Layer == nil && f.Layer != nil {
			layer := *f.Layer
			im.Layer = &layer
		}
	}
	if p := &im.Packages[i]; !slices.Contains(p.Vulnerabilities, id) {
		p.Vulnerabilities = append(p.Vulnerabilities, id)
	}
}

// Cause is what is known of a container's image; its reference and digest at least.
func (k *Knowledge) Cause(c *seawall.Container) *seawall.IncidentCause {
	cause := seawall.IncidentCause{Image: c.Image, Digest: c.Digest}
	if known := k.images[c.Digest]; known != nil && c.Digest != "" {
		cause.Packages, cause.Layer = known.Packages, known.Layer
	}
	return &cause
}

// Prevention names the policies that would have stopped a container's image.
func (k *Knowledge) Prevention(c *seawall.Container) []string {
	if known := k.images[c.Digest]; known != nil && c.Digest != "" {
		return known.prevention
	}
	return nil
}

// Deployers remembers who wrote the workloads of a cluster, by its audit log.
type Deployers struct {
	actors map[string]*seawall.Actor // by workload, "Deployment/shop/web"
	order  []string
}

// kinds are those of the resources that make pods, and pods.
var kinds = map[string]string{
	"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet",
	"jobs": "Job", "cronjobs": "CronJob", "pods": "Pod", "replicationcontrollers": "ReplicationController",
}

// Observe tells that a request wrote an object. Requests of Kubernetes' own controllers do not count.
func (d *Deployers) Observe(verb, resource, namespace, name string, actor *seawall.Actor) {
	kind := kinds[resource]
	if kind == "" || name == "" || actor == nil || !slices.Contains([]string{"create", "update", "patch"}, verb) || controller(actor.User) {
		return
	}
	if d.actors == nil {
		d.actors = map[string]*seawall.Actor{}
	}
	key := kind + "/" + namespace + "/" + name
	if d.actors[key] == nil {
		if len(d.order) >= maxDeployers {
			delete(d.actors, d.order[0])
			d.order = d.order[1:]
		}
		d.order = append(d.order, key)
	}
	d.actors[key] = actor
}

func controller(user string) bool {
	return strings.HasPrefix(user, "system:serviceaccount:kube-system:") || strings.HasPrefix(user, "system:node:") || strings.HasPrefix(user, "system:kube-")
}

// Of is who wrote a container's workload last; nil is not known.
func (d *Deployers) Of(c *seawall.Container) *seawall.Actor {
	if actor := d.actors[c.Workload]; actor != nil && c.Workload != "" {
		return actor
	}
	return d.actors["Pod/"+c.Namespace+"/"+c.Pod]
}
