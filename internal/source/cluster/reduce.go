package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

// item is an object of a list, cut into the parts this package looks at.
type item struct {
	raw      map[string]json.RawMessage
	metadata map[string]json.RawMessage
	meta     metadata
}

type metadata struct {
	UID             string            `json:"uid"`
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels"`
	OwnerReferences []struct {
		UID        string `json:"uid"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences"`
}

// parseItem copies what it keeps: raw is the list's own.
func parseItem(raw []byte) (*item, error) {
	it := &item{}
	err := json.Unmarshal(raw, &it.raw)
	if err == nil {
		err = json.Unmarshal(it.raw["metadata"], &it.meta)
	}
	if err == nil {
		err = json.Unmarshal(it.raw["metadata"], &it.metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	return it, nil
}

// controller is the UID of the object that made this one, "" without.
func (it *item) controller() string {
	for _, r := range it.meta.OwnerReferences {
		if r.Controller {
			return r.UID
		}
	}
	return ""
}

// object makes the object without what nobody judges: managedFields, kubectl's
// copy of the manifest, most of the status, schemas of custom resources.
func (it *item) object(s served) (*seawall.Object, error) {
	delete(it.metadata, "managedFields")
	if err := it.trimAnnotations(); err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(it.metadata)
	if err != nil {
		return nil, err
	}
	it.raw["metadata"] = metadata
	if err := it.trimStatus(s.kind); err != nil {
		return nil, err
	}
	if s.kind == "CustomResourceDefinition" {
		if err := it.trimSchemas(); err != nil {
			return nil, err
		}
	}
	return &seawall.Object{
		APIVersion: s.apiVersion, Kind: s.kind, Namespace: it.meta.Namespace, Name: it.meta.Name,
		JSON: it.encode(s),
	}, nil
}

// encode writes the object with the kind that the items of a list leave out.
// The parts are compact and valid: they came out of a decoder.
func (it *item) encode(s served) []byte {
	delete(it.raw, "apiVersion")
	delete(it.raw, "kind")
	keys := make([]string, 0, len(it.raw))
	size := len(s.apiVersion) + len(s.kind) + 32
	for k, v := range it.raw {
		keys = append(keys, k)
		size += len(k) + len(v) + 4
	}
	slices.SortFunc(keys, strings.Compare)
	out := make([]byte, 0, size)
	out = append(out, `{"apiVersion":`...)
	out = appendQuoted(out, s.apiVersion)
	out = append(out, `,"kind":`...)
	out = appendQuoted(out, s.kind)
	for _, k := range keys {
		out = append(out, ',')
		out = appendQuoted(out, k)
		out = append(out, ':')
		out = append(out, it.raw[k]...)
	}
	return append(out, '}')
}

func appendQuoted(out []byte, s string) []byte {
	text, _ := json.Marshal(s) // strings always can
	return append(out, text...)
}

func (it *item) trimAnnotations() error {
	if !strings.Contains(string(it.metadata["annotations"]), object.LastApplied) {
		return nil
	}
	var annotations map[string]string
	if err := json.Unmarshal(it.metadata["annotations"], &annotations); err != nil {
		return fmt.Errorf("annotations: %w: %w", seawall.ErrCorrupt, err)
	}
	delete(annotations, object.LastApplied)
	text, err := json.Marshal(annotations)
	it.metadata["annotations"] = text
	return err
}

// keptStatus are the parts of a status that are judged, by kind; other kinds keep none.
func keptStatus(kind string) []string {
	switch kind {
	case "Pod":
		return []string{"phase", "podIP", "podIPs", "hostIP", "hostIPs", "qosClass", "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"}
	case "Node":
		return []string{"nodeInfo", "addresses", "features", "runtimeHandlers"}
	case "Service", "Ingress":
		return []string{"loadBalancer"}
	case "Gateway":
		return []string{"addresses"}
	case "Namespace", "PersistentVolume", "PersistentVolumeClaim":
		return []string{"phase"}
	case "CertificateSigningRequest":
		return []string{"conditions", "certificate"}
	case "CustomResourceDefinition":
		return []string{"storedVersions"}
	case "Job":
		return []string{"completionTime", "active", "failed"}
	case "CronJob":
		return []string{"lastScheduleTime"}
	}
	return nil
}

func (it *item) trimStatus(kind string) error {
	if it.raw["status"] == nil {
		return nil
	}
	var status map[string]json.RawMessage
	if err := json.Unmarshal(it.raw["status"], &status); err != nil {
		return fmt.Errorf("status: %w: %w", seawall.ErrCorrupt, err)
	}
	keep := map[string]json.RawMessage{}
	for _, k := range keptStatus(kind) {
		v := status[k]
		if strings.HasSuffix(k, "ontainerStatuses") && v != nil {
			var err error
			if v, err = trimContainers(v); err != nil {
				return err
			}
		}
		if v != nil {
			keep[k] = v
		}
	}
	delete(it.raw, "status")
	if len(keep) == 0 {
		return nil
	}
	text, err := json.Marshal(keep)
	it.raw["status"] = text
	return err
}

// containerStatus is what is kept of a container's.
type containerStatus struct {
	Name    string `json:"name"`
	Image   string `json:"image"`
	ImageID string `json:"imageID"`
}

func trimContainers(raw json.RawMessage) (json.RawMessage, error) {
	var list []containerStatus
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("status: %w: %w", seawall.ErrCorrupt, err)
	}
	return json.Marshal(list)
}

// trimSchemas takes the schemas out of a custom resource's definition: they are
// most of it, and often most of a cluster.
func (it *item) trimSchemas() error {
	var spec map[string]json.RawMessage
	var versions []map[string]json.RawMessage
	if err := json.Unmarshal(it.raw["spec"], &spec); err != nil {
		return fmt.Errorf("spec: %w: %w", seawall.ErrCorrupt, err)
	}
	if err := json.Unmarshal(spec["versions"], &versions); err != nil {
		return fmt.Errorf("spec.versions: %w: %w", seawall.ErrCorrupt, err)
	}
	for _, v := range versions {
		delete(v, "schema")
		delete(v, "additionalPrinterColumns")
	}
	text, err := json.Marshal(versions)
	if err != nil {
		return err
	}
	spec["versions"] = text
	it.raw["spec"], err = json.Marshal(spec)
	return err
}

// owner is a workload whose pods, and what lies between, are not kept.
type owner struct {
	// root is the workload at the top, as findings name it.
	root string
	// containers are the names in its pod template.
	containers []string
	// seen are sets of containers of its pods that the template does not have,
	// each of which is kept once: something injects them.
	seen []string
}

// podTemplate finds the pod's description in any kind of workload.
type podTemplate struct {
	Template    *struct{ Spec podSpec }
	JobTemplate *struct {
		Spec struct{ Template struct{ Spec podSpec } }
	}
}

type podSpec struct {
	Containers, InitContainers, EphemeralContainers []struct{ Name, Image string }

	ImagePullSecrets []struct{ Name string }
	NodeName         string
}

// names are those of the containers a template has, in order.
func (p *podSpec) names() []string {
	var out []string
	for _, c := range slices.Concat(p.Containers, p.InitContainers) {
		out = append(out, c.Name)
	}
	return sorted(out)
}

// images are what the containers call their images, by container.
func (p *podSpec) images() map[string]string {
	out := map[string]string{}
	for _, c := range slices.Concat(p.Containers, p.InitContainers, p.EphemeralContainers) {
		out[c.Name] = c.Image
	}
	return out
}

// template is the pod template of a workload.
func (it *item) template() (*podSpec, error) {
	var t podTemplate
	if err := json.Unmarshal(it.raw["spec"], &t); err != nil {
		return nil, fmt.Errorf("spec: %w: %w", seawall.ErrCorrupt, err)
	}
	switch {
	case t.JobTemplate != nil:
		return &t.JobTemplate.Spec.Template.Spec, nil
	case t.Template != nil:
		return &t.Template.Spec, nil
	}
	return &podSpec{}, nil
}

// isWorkload says whether objects of a kind make pods.
func isWorkload(w wanted) bool {
	switch w.String() {
	case "deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "replicationcontrollers", "cronjobs.batch", "jobs.batch":
		return true
	}
	return false
}

// workload notes a workload as an owner and says whether it is kept: not when a
// kept one made it.
func (s *snapshot) workload(it *item, kind string) (keep bool, err error) {
	spec, err := it.template()
	if err != nil {
		return false, err
	}
	o := &owner{root: (&seawall.Object{Kind: kind, Namespace: it.meta.Namespace, Name: it.meta.Name}).Resource(), containers: spec.names()}
	above, owned := s.owners[it.controller()]
	if owned {
		o.root = above.root
	}
	if it.meta.UID != "" {
		s.owners[it.meta.UID] = o
	}
	return !owned, nil
}

// pod notes the images of a pod and says whether it is kept: not when a kept
// workload made it and its containers are those of the workload's template.
func (s *snapshot) pod(it *item) (keep bool, err error) {
	var spec podSpec
	if err := json.Unmarshal(it.raw["spec"], &spec); err != nil {
		return false, fmt.Errorf("spec: %w: %w", seawall.ErrCorrupt, err)
	}
	o, owned := s.owners[it.controller()]
	root := "Pod/" + it.meta.Namespace + "/" + it.meta.Name
	if owned {
		root = o.root
	}
	if s.target.options.Images {
		if err := s.target.images.add(it, &spec, root); err != nil {
			return false, err
		}
	}
	if !owned {
		return true, nil
	}
	names := spec.names()
	if !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(o.containers, n) }) {
		return false, nil
	}
	key := strings.Join(names, " ")
	if slices.Contains(o.seen, key) {
		return false, nil
	}
	o.seen = append(o.seen, key)
	return true, nil
}
