package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a parsed answer about a container, a sandbox or an image: the fields used of them.
type message struct {
	id, name, imageName, imageRef, imageID string
	pod, uid, namespace, ip                string
	started, created                       int64
	labels, annotations                    map[string]string
	mounts                                 []Mount
	network, pid, ipc                      uint64 // NamespaceMode: 0 the pod's, 1 its own, 2 the node's
	tags, digests                          []string
	info                                   info
}

// node is the NamespaceMode of a namespace shared with the node.
const node = 2

// info is what is used of the details containerd and CRI-O add, as JSON.
type info struct {
	SandboxID  string `json:"sandboxID"`
	Image      string `json:"image"`      // of a sandbox
	Privileged *bool  `json:"privileged"` // CRI-O
	Config     struct {
		Image struct {
			UserSpecified string `json:"user_specified_image"`
		} `json:"image"`
		Linux struct {
			SecurityContext struct {
				Privileged bool `json:"privileged"`
			} `json:"security_context"`
		} `json:"linux"`
	} `json:"config"`
}

func (i *info) privileged() bool {
	return i.Config.Linux.SecurityContext.Privileged || i.Privileged != nil && *i.Privileged
}

// nested reads a part of a message with f.
func nested(f func(m *message, n protowire.Number, data []byte, number uint64) error) func(*message, []byte) error {
	return func(m *message, part []byte) error {
		return fields(part, func(n protowire.Number, data []byte, number uint64) error { return f(m, n, data, number) })
	}
}

// containerStatus reads a ContainerStatusResponse.
func containerStatus(answer []byte) (*message, error) {
	return parse(answer, func(m *message, n protowire.Number, data []byte, number uint64) error {
		switch n {
		case 1:
			m.id = string(data)
		case 2: // ContainerMetadata
			return first(data, &m.name)
		case 4:
			m.created = int64(number)
		case 5:
			m.started = int64(number)
		case 8: // ImageSpec
			return nested(func(m *message, n protowire.Number, data []byte, _ uint64) error {
				switch n {
				case 1:
					m.imageName = string(data)
				case 18:
					m.info.Config.Image.UserSpecified = string(data)
				}
				return nil
			})(m, data)
		case 9:
			m.imageRef = string(data)
		case 12:
			return pair(data, m.labels)
		case 13:
			return pair(data, m.annotations)
		case 14:
			mount, err := readMount(data)
			m.mounts = append(m.mounts, mount)
			return err
		case 17:
			m.imageID = string(data)
		}
		return nil
	})
}

// sandboxStatus reads a PodSandboxStatusResponse.
func sandboxStatus(answer []byte) (*message, error) {
	namespaces := nested(func(m *message, n protowire.Number, _ []byte, number uint64) error {
		switch n {
		case 1:
			m.network = number
		case 2:
			m.pid = number
		case 3:
			m.ipc = number
		}
		return nil
	})
	inner := func(field protowire.Number, f func(*message, []byte) error) func(*message, []byte) error {
		return nested(func(m *message, n protowire.Number, data []byte, _ uint64) error {
			if n == field {
				return f(m, data)
			}
			return nil
		})
	}
	linux := inner(1, inner(2, namespaces)) // Namespace, NamespaceOption
	return parse(answer, func(m *message, n protowire.Number, data []byte, number uint64) error {
		switch n {
		case 1:
			m.id = string(data)
		case 2: // PodSandboxMetadata
			return nested(func(m *message, n protowire.Number, data []byte, _ uint64) error {
				switch n {
				case 1:
					m.pod = string(data)
				case 2:
					m.uid = string(data)
				case 3:
					m.namespace = string(data)
				}
				return nil
			})(m, data)
		case 4:
			m.created = int64(number)
		case 5: // PodSandboxNetworkStatus
			return first(data, &m.ip)
		case 6: // LinuxPodSandboxStatus
			return linux(m, data)
		case 7:
			return pair(data, m.labels)
		case 8:
			return pair(data, m.annotations)
		}
		return nil
	})
}

// imageStatus reads an ImageStatusResponse.
func imageStatus(answer []byte) (*message, error) {
	return parse(answer, func(m *message, n protowire.Number, data []byte, _ uint64) error {
		switch n {
		case 1:
			m.id = string(data)
		case 2:
			m.tags = append(m.tags, string(data))
		case 3:
			m.digests = append(m.digests, string(data))
		}
		return nil
	})
}

// parse reads an answer whose field 1 is what was asked for, read by status, and whose field 2 are details.
func parse(answer []byte, status func(*message, protowire.Number, []byte, uint64) error) (*message, error) {
	m := &message{labels: map[string]string{}, annotations: map[string]string{}}
	details := map[string]string{}
	err := fields(answer, func(n protowire.Number, data []byte, _ uint64) error {
		switch n {
		case 1:
			return nested(status)(m, data)
		case 2:
			return pair(data, details)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if text := details["info"]; text != "" {
		specified := m.info.Config.Image.UserSpecified
		_ = json.Unmarshal([]byte(text), &m.info) // no runtime has to give it, nor in this form
		m.info.Config.Image.UserSpecified = cmp.Or(specified, m.info.Config.Image.UserSpecified)
	}
	return m, nil
}

// first reads the text in field 1 of a message.
func first(msg []byte, to *string) error {
	return fields(msg, func(n protowire.Number, data []byte, _ uint64) error {
		if n == 1 {
			*to = string(data)
		}
		return nil
	})
}

func readMount(msg []byte) (Mount, error) {
	m := Mount{Writable: true, Propagation: "private"}
	err := fields(msg, func(n protowire.Number, data []byte, number uint64) error {
		switch n {
		case 1:
			m.Destination = string(data)
		case 2:
			m.Source = string(data)
		case 3:
			m.Writable = number == 0
		case 5:
			m.Propagation = [...]string{"private", "rslave", "rshared"}[min(number, 2)]
		}
		return nil
	})
	return m, err
}

// Container asks about one container or pod sandbox. errNotFound is in the error
// when the runtime does not know it (yet).
func (c *CRI) Container(ctx context.Context, id string) (*Container, error) {
	answer, err := c.call(ctx, "RuntimeService/ContainerStatus", withInfo(textField(1, id)))
	if errors.Is(err, errNotFound) {
		return c.pause(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	m, err := containerStatus(answer)
	if err != nil {
		return nil, err
	}
	sandbox := m.info.SandboxID
	if sandbox == "" {
		if sandbox, err = c.sandboxOf(ctx, id); err != nil {
			return nil, err
		}
	}
	pod, err := c.sandbox(ctx, sandbox)
	if err != nil {
		return nil, fmt.Errorf("sandbox of container %.12s: %w", id, err)
	}
	image, err := c.image(ctx, cmp.Or(m.imageID, m.imageRef, m.imageName))
	if err != nil {
		return nil, fmt.Errorf("image of container %.12s: %w", id, err)
	}
	return newContainer(m, pod, image), nil
}

// pause is a sandbox as a container: the one that holds a pod's namespaces.
func (c *CRI) pause(ctx context.Context, id string) (*Container, error) {
	pod, err := c.sandbox(ctx, id)
	if err != nil {
		return nil, err
	}
	m := &message{id: id, name: "POD", imageName: pod.info.Image, created: pod.created, started: pod.created, labels: pod.labels}
	m.info.Config.Linux.SecurityContext.Privileged = false // whatever the pod may, this process only waits
	image := &message{}
	if pod.info.Image != "" {
		if image, err = c.image(ctx, pod.info.Image); err != nil {
			return nil, fmt.Errorf("image of sandbox %.12s: %w", id, err)
		}
	}
	made := newContainer(m, pod, image)
	made.Sandbox = true
	return made, nil
}

func (c *CRI) sandbox(ctx context.Context, id string) (*message, error) {
	answer, err := c.call(ctx, "RuntimeService/PodSandboxStatus", withInfo(textField(1, id)))
	if err != nil {
		return nil, err
	}
	return sandboxStatus(answer)
}

// sandboxOf finds the sandbox of a container in the list of containers.
func (c *CRI) sandboxOf(ctx context.Context, id string) (string, error) {
	filter := textField(1, id)
	request := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), filter)
	answer, err := c.call(ctx, "RuntimeService/ListContainers", request)
	if err != nil {
		return "", err
	}
	sandbox := ""
	err = fields(answer, func(_ protowire.Number, container []byte, _ uint64) error {
		return fields(container, func(n protowire.Number, data []byte, _ uint64) error {
			if n == 2 {
				sandbox = string(data)
			}
			return nil
		})
	})
	if err == nil && sandbox == "" {
		err = errNotFound
	}
	return sandbox, err
}

// image asks about an image; one that is gone while its container runs is an empty answer.
func (c *CRI) image(ctx context.Context, ref string) (*message, error) {
	spec := textField(1, ref)
	answer, err := c.call(ctx, "ImageService/ImageStatus", protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), spec))
	if errors.Is(err, errNotFound) {
		return &message{}, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := imageStatus(answer)
	if m != nil {
		slices.Sort(m.tags)
	}
	return m, err
}
