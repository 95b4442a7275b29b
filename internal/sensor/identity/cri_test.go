package identity

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/seawall-security/seawall/internal/seawall"
)

// runtime is CRI-O as far as it is asked, over real gRPC.
type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer
	// unknown is how often a container is not known before it is.
	unknown chan struct{}
	// silent leaves out the details that no runtime has to give.
	silent bool
}

func (r *runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{RuntimeName: "cri-o", RuntimeVersion: "1.33.0"}, nil
}

func (r *runtime) ContainerStatus(_ context.Context, q *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	select {
	case <-r.unknown:
		return nil, status.Errorf(codes.Unknown, "could not find container %q", q.ContainerId)
	default:
	}
	if q.ContainerId != id1 {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	answer := &cri.ContainerStatusResponse{
		Status: &cri.ContainerStatus{
			Id: id1, Metadata: &cri.ContainerMetadata{Name: "web"}, CreatedAt: 1700000000000000000, StartedAt: 1700000000500000000,
			Image:    &cri.ImageSpec{Image: id2},
			ImageRef: "registry.example.org/shop/web@sha256:" + id2, ImageId: id2,
			Labels:      map[string]string{"io.kubernetes.container.name": "web"},
			Annotations: map[string]string{"io.kubernetes.container.restartCount": "0"},
			Mounts: []*cri.Mount{
				{ContainerPath: "/host", HostPath: "/", Readonly: true, Propagation: cri.MountPropagation_PROPAGATION_BIDIRECTIONAL},
				{ContainerPath: "/data", HostPath: "/var/lib/kubelet/pods/x"},
			},
		},
		Info: map[string]string{"info": `{"pid":7,"sandboxID":"` + id2 + `","privileged":true,"runtimeSpec":{}}`},
	}
	if r.silent || !q.Verbose {
		answer.Info = nil
	}
	return answer, nil
}

func (r *runtime) ListContainers(_ context.Context, q *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	if q.Filter.GetId() != id1 {
		return &cri.ListContainersResponse{}, nil
	}
	return &cri.ListContainersResponse{Containers: []*cri.Container{{Id: id1, PodSandboxId: id2}}}, nil
}

func (r *runtime) PodSandboxStatus(_ context.Context, q *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	if q.PodSandboxId != id2 {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	return &cri.PodSandboxStatusResponse{
		Status: &cri.PodSandboxStatus{
			Id: id2, Metadata: &cri.PodSandboxMetadata{Name: "web-6d4cf56db6-x2x9z", Namespace: "shop", Uid: "5d97025f-e6f1-42b9-aab8-f04580216c05"},
			CreatedAt: 1700000000000000000, Network: &cri.PodSandboxNetworkStatus{Ip: "10.1.2.3"},
			Linux:  &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}}},
			Labels: map[string]string{"app": "web", "pod-template-hash": "6d4cf56db6"},
		},
		Info: map[string]string{"info": `{"image":"registry.k8s.io/pause:3.10","pid":6}`},
	}, nil
}

func (r *runtime) ImageStatus(_ context.Context, q *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	if q.Image.Image != id2 && q.Image.Image != "registry.example.org/shop/web@sha256:"+id2 {
		return &cri.ImageStatusResponse{}, nil
	}
	return &cri.ImageStatusResponse{Image: &cri.Image{
		Id: id2, RepoTags: []string{"registry.example.org/shop/web:1.2"},
		RepoDigests: []string{"mirror.example.org/web@sha256:" + id2, "registry.example.org/shop/web@sha256:" + id1},
	}}, nil
}

// serve serves a runtime and returns the socket.
func serve(t *testing.T, r *runtime) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "cri.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, r)
	cri.RegisterImageServiceServer(server, r)
	done := make(chan struct{})
	go func() { _ = server.Serve(listener); close(done) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return socket
}

var web = &Container{
	Container: seawall.Container{
		ID: id1, Name: "web", Image: "registry.example.org/shop/web:1.2", Digest: "sha256:" + id1, Namespace: "shop", Pod: "web-6d4cf56db6-x2x9z",
		PodUID: "5d97025f-e6f1-42b9-aab8-f04580216c05", Workload: "Deployment/shop/web", Labels: map[string]string{"app": "web", "pod-template-hash": "6d4cf56db6"},
	},
	Short: id1[:12], Known: true, SandboxID: id2, ImageID: id2, Repository: "registry.example.org/shop/web", Tag: "1.2",
	ImageNames: []string{"registry.example.org/shop/web:1.2"}, ImageDigests: []string{"sha256:" + id2, "sha256:" + id1},
	Privileged: true, HostNetwork: true, IP: "10.1.2.3", Created: 1700000000000000000,
	Mounts:          []Mount{{Source: "/", Destination: "/host", Propagation: "rshared"}, {Source: "/var/lib/kubelet/pods/x", Destination: "/data", Writable: true, Propagation: "private"}},
	ContainerLabels: map[string]string{"io.kubernetes.container.name": "web"},
	MountsText:      "/:/host::false:rshared,/var/lib/kubelet/pods/x:/data::true:private", LabelsText: "io.kubernetes.container.name:web", PodLabelsText: "app:web, pod-template-hash:6d4cf56db6",
}

func TestContainer(t *testing.T) {
	c := NewCRI("unix://" + serve(t, &runtime{}))
	defer c.Close()
	got, err := c.Container(t.Context(), id1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(web, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	pause, err := c.Container(t.Context(), id2)
	if err != nil {
		t.Fatal(err)
	}
	if !pause.Sandbox || pause.Name != "POD" || pause.Pod != "web-6d4cf56db6-x2x9z" || pause.Image != "registry.k8s.io/pause:3.10" || pause.Privileged {
		t.Errorf("the sandbox: %+v", pause)
	}
	if _, err := c.Container(t.Context(), "0"); !errors.Is(err, errNotFound) {
		t.Errorf("of none: %v", err)
	}
}

// TestWithoutDetails: what no runtime has to give is not missed, apart from privileged.
func TestWithoutDetails(t *testing.T) {
	c := NewCRI(serve(t, &runtime{silent: true}))
	defer c.Close()
	got, err := c.Container(t.Context(), id1)
	if err != nil {
		t.Fatal(err)
	}
	want := *web
	want.Privileged = false
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestPatience: a container the runtime knows only a moment later is held, and known in the end.
func TestPatience(t *testing.T) {
	cgroup, _ := group(t, "kubepods.slice/kubepods-pod5d97025f_e6f1_42b9_aab8_f04580216c05.slice/crio-"+id1+".scope")
	late := &runtime{unknown: make(chan struct{}, 3)}
	for range 3 {
		late.unknown <- struct{}{}
	}
	r := resolver(t, Config{CRI: NewCRI(serve(t, late))})
	if c, ready := r.Lookup(cgroup, 0); c == nil || ready && !c.Known {
		t.Errorf("at once: %v %+v", ready, c)
	}
	got := settled(t, r, cgroup)
	want := *web
	want.Runtime, want.CgroupPath = "cri-o", r.Path(cgroup)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNoRuntime: a runtime that does not answer leaves what the path tells, and the error is told.
func TestNoRuntime(t *testing.T) {
	cgroup, _ := group(t, "crio-"+id1+".scope")
	r := resolver(t, Config{CRI: NewCRI("/nonexistent/cri.sock"), Patience: 50 * time.Millisecond})
	c := settled(t, r, cgroup)
	if c == nil || c.ID != id1 || c.Runtime != "cri-o" || c.Known {
		t.Errorf("%+v", c)
	}
	r.Learn(1<<43, "/crio-"+id2+".scope")
	if _, ready := r.Lookup(1<<43, 0); !ready {
		t.Error("the next one waits for the runtime, too")
	}
	if s := r.Stats(); !errors.Is(s.Err, seawall.ErrUnreadable) || s.Failed == 0 {
		t.Errorf("%+v", s)
	}
}

const podObject = `{"metadata":{"uid":"5d97025f-e6f1-42b9-aab8-f04580216c05","ownerReferences":[{"kind":"Node","name":"other"},{"kind":"Rollout","name":"shop-web","controller":true}]},
"spec":{"containers":[{"name":"side","image":"proxy"},{"name":"web","image":"nginx:1.25"}],"initContainers":[{"name":"init","image":"busybox"}]}}`

// TestPod: what the API server knows better is taken over, what it says of another pod or in pieces is not.
func TestPod(t *testing.T) {
	cgroup, _ := group(t, "crio-"+id1+".scope")
	object := podObject
	asked := ""
	r := resolver(t, Config{CRI: NewCRI(serve(t, &runtime{})), Pod: func(_ context.Context, namespace, name string) ([]byte, error) {
		asked = namespace + "/" + name
		return []byte(object), nil
	}})
	c := settled(t, r, cgroup)
	if asked != "shop/web-6d4cf56db6-x2x9z" || c.Workload != "Rollout/shop/shop-web" || c.Image != "docker.io/library/nginx:1.25" || c.Repository != "docker.io/library/nginx" || c.Tag != "1.25" || c.Digest != web.Digest {
		t.Errorf("%s: %+v", asked, c)
	}
	calls := 0
	silent := resolver(t, Config{CRI: NewCRI(serve(t, &runtime{})), Pod: func(context.Context, string, string) ([]byte, error) {
		calls++
		return nil, errors.New("no")
	}})
	for i := range uint64(3) {
		silent.Learn(1<<44+i, "/crio-"+id1+".scope")
		if c := settled(t, silent, 1<<44+i); c.Workload != web.Workload || c.Image != web.Image {
			t.Errorf("without the API server: %+v", c)
		}
	}
	if calls != 1 {
		t.Errorf("an API server that does not tell was asked %d times", calls)
	}
	for text, broken := range map[string]bool{
		strings.Replace(podObject, "5d97", "0000", 1): false, "{": true, "": true, strings.Repeat(" ", maxPod+1): true,
		strings.ReplaceAll(strings.ReplaceAll(podObject, `,"controller":true`, ""), `"name":"web"`, `"name":"x"`): false,
	} {
		same := *web
		if err := same.refine([]byte(text)); (err != nil) != broken {
			t.Errorf("%.40s: %v", text, err)
		}
		if diff := cmp.Diff(web, &same); diff != "" {
			t.Errorf("%.40s: %s", text, diff)
		}
	}
	deployed := *web
	replicas := strings.ReplaceAll(strings.ReplaceAll(podObject, "Rollout", "ReplicaSet"), "shop-web", "web-6d4cf56db6")
	if err := deployed.refine([]byte(replicas)); err != nil || deployed.Workload != "Deployment/shop/web" {
		t.Errorf("%v: %s", err, deployed.Workload)
	}
}

// FuzzAnswer: whatever a runtime answers is an error or a value.
func FuzzAnswer(f *testing.F) {
	r := &runtime{}
	container, _ := r.ContainerStatus(f.Context(), &cri.ContainerStatusRequest{ContainerId: id1, Verbose: true})
	sandbox, _ := r.PodSandboxStatus(f.Context(), &cri.PodSandboxStatusRequest{PodSandboxId: id2})
	image, _ := r.ImageStatus(f.Context(), &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: id2}})
	for _, m := range []proto.Message{container, sandbox, image} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append([]byte{0, 0, 0, 0, byte(len(b))}, b...))
		f.Add([]byte(podObject))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if inner, err := unframe(answer); err != nil && inner != nil || err == nil && len(answer) > 0 && len(inner)+5 != len(answer) {
			t.Errorf("unframe: %d of %d bytes, %v", len(inner), len(answer), err)
		}
		same := *web
		if err := same.refine(answer); err != nil && !cmp.Equal(web, &same) {
			t.Errorf("%v, and taken over", err)
		}
		for _, read := range []func([]byte) (*message, error){containerStatus, sandboxStatus, imageStatus} {
			m, err := read(answer)
			if (m == nil) != (err != nil) {
				t.Errorf("%v, %v", m, err)
			}
			if m != nil {
				c := newContainer(m, m, m)
				if len(c.MountsText) > 8*len(answer)+64 {
					t.Errorf("%d bytes of mounts from %d", len(c.MountsText), len(answer))
				}
			}
		}
	})
}
