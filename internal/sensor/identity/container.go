package identity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Container is a container with its pod and image. It does not change once it is
// handed out.
type Container struct {
	// Container is what findings say of it. Digest is the image's: of its manifest
	// where the runtime knows one, else of its configuration.
	seawall.Container
	// Short are the first 12 characters of the ID.
	Short string
	// Runtime is containerd, cri-o, docker or podman; "" when the cgroup's path does not tell.
	Runtime string
	// Known: the runtime told what it is. Otherwise only the cgroup's path did: ID, Runtime, PodUID.
	Known bool
	// Sandbox: it only holds the pod's namespaces (the pause container).
	Sandbox bool
	// SandboxID is its pod's.
	SandboxID string
	// ImageID is the digest of the image's configuration, Repository and Tag are Container.Image taken apart.
	ImageID, Repository, Tag string
	// ImageNames and ImageDigests are all the runtime knows of the image.
	ImageNames, ImageDigests      []string
	Privileged                    bool
	HostNetwork, HostPID, HostIPC bool
	Mounts                        []Mount
	ContainerLabels               map[string]string
	IP                            string
	Created                       int64 // ns since 1970
	// CgroupPath is the directory of its cgroup.
	CgroupPath string
	// MountsText, LabelsText and PodLabelsText are as rules and outputs have them.
	// MountsText, LabelsText and PodLabelsText are as rules and outputs have them.
	MountsText, LabelsText, PodLabelsText string
}

// Mount is a mount into a container.
type Mount struct {
	Source, Destination string
	// Mode is what a runtime calls it ("Z"); CRI has none.
	Mode        string
	Writable    bool
	Propagation string // private, rslave or rshared
}

// String is source:destination:mode:writable:propagation, as outputs show it.
func (m *Mount) String() string {
	return m.Source + ":" + m.Destination + ":" + m.Mode + ":" + strconv.FormatBool(m.Writable) + ":" + m.Propagation
}

// newContainer puts together what the runtime said of a container, its sandbox and its image.
func newContainer(m, pod, image *message) *Container {
	c := &Container{
		Container: seawall.Container{
			ID: m.id, Name: m.name, Namespace: pod.namespace, Pod: pod.pod, PodUID: pod.uid, Labels: pod.labels,
		},
		Known: true, SandboxID: pod.id, IP: pod.ip,
		Privileged: m.info.privileged(), HostNetwork: pod.network == node, HostPID: pod.pid == node, HostIPC: pod.ipc == node,
		Mounts: m.mounts, ContainerLabels: m.labels, Created: m.created,
		ImageID: cmp.Or(image.id, m.imageID), ImageNames: image.tags, ImageDigests: digests(image.digests),
	}
	c.Image = imageName(m, image)
	c.Repository, c.Tag = SplitImage(c.Image)
	c.Digest = digestOf(c.Repository, image.digests)
	if c.Digest == "" {
		c.Digest = c.ImageID
	}
	c.Workload = workload(&c.Container)
	c.finish()
	return c
}

// finish makes what is derived of the other members.
func (c *Container) finish() {
	c.Short = c.ID[:min(12, len(c.ID))]
	var mounts []string
	for i := range c.Mounts {
		mounts = append(mounts, c.Mounts[i].String())
	}
	c.MountsText = strings.Join(mounts, ",")
	c.LabelsText, c.PodLabelsText = labelsText(c.ContainerLabels), labelsText(c.Labels)
}

func labelsText(labels map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, k+":"+labels[k])
	}
	return strings.Join(all, ", ")
}

// imageName is the reference it was started by where the runtime kept it. Two tags
// of one image are one to a runtime, so what it says first may be the other.
func imageName(m, image *message) string {
	for _, name := range []string{m.info.Config.Image.UserSpecified, m.imageName} {
		if name != "" && !strings.HasPrefix(name, "sha256:") && !isHex(name) {
			return name
		}
	}
	for _, names := range [][]string{image.tags, image.digests} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return m.imageName
}

// SplitImage takes "registry:5000/a/b:tag@sha256:…" apart.
func SplitImage(ref string) (repository, tag string) {
	repository, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag
}

// digestOf is the digest an image has in a repository, else in the first of all.
func digestOf(repository string, refs []string) string {
	for _, ref := range refs {
		if name, digest, ok := strings.Cut(ref, "@"); ok && name == repository {
			return digest
		}
	}
	if all := digests(refs); len(all) > 0 {
		return all[0]
	}
	return ""
}

func digests(refs []string) []string {
	var all []string
	for _, ref := range refs {
		if _, digest, ok := strings.Cut(ref, "@"); ok && !slices.Contains(all, digest) {
			all = append(all, digest)
		}
	}
	return all
}

// workload names what made a pod by the labels Kubernetes' controllers put on their
// pods (https://kubernetes.io/docs/reference/labels-annotations-taints/): the node
// can see them without asking the API server. A pod without is its own.
func workload(c *seawall.Container) string {
	if c.Pod == "" {
		return ""
	}
	name := func(kind, name string) string { return fmt.Sprintf("%s/%s/%s", kind, c.Namespace, name) }
	if d := Deployment(c); d != "" {
		return name("Deployment", d)
	}
	if c.Labels["statefulset.kubernetes.io/pod-name"] != "" {
		return name("StatefulSet", beforeDash(c.Pod))
	}
	for _, label := range []string{"batch.kubernetes.io/job-name", "job-name"} {
		if job := c.Labels[label]; job != "" {
			return name("Job", job)
		}
	}
	if c.Labels["controller-revision-hash"] != "" && c.Labels["pod-template-generation"] != "" {
		return name("DaemonSet", beforeDash(c.Pod))
	}
	return name("Pod", c.Pod)
}

// ReplicaSet is the name of the replica set that made a pod, "" when none did.
func ReplicaSet(c *seawall.Container) string {
	hash := c.Labels["pod-template-hash"]
	set := beforeDash(c.Pod)
	if hash == "" || !strings.HasSuffix(set, "-"+hash) {
		return ""
	}
	return set
}

// Deployment is the name of the deployment that made a pod, "" when none did.
func Deployment(c *seawall.Container) string {
	set := ReplicaSet(c)
	if set == "" {
		return ""
	}
	return strings.TrimSuffix(set, "-"+c.Labels["pod-template-hash"])
}

func beforeDash(s string) string {
	if i := strings.LastIndexByte(s, '-'); i > 0 {
		return s[:i]
	}
	return s
}
