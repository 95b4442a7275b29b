package live

import (
	"errors"
	"io/fs"
)

// kubeProxy reads kube-proxy's configuration, which kubeadm keeps in a config map:
// on a node it lies among the volumes of the kubelet's pods, which no walk enters.
func (r *reader) kubeProxy() error {
	const pods = "var/lib/kubelet/pods"
	entries, err := r.list(pods)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for i, e := range entries {
		if r.ctx.Err() != nil || i >= maxContainers {
			return r.ctx.Err()
		}
		name := pods + "/" + e.Name() + "/volumes/kubernetes.io~configmap/kube-proxy/config.conf"
		switch text, err := r.read(name, maxFile); {
		case err == nil:
			r.add("kubernetes/raw", name, map[string]string{"text": text})
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}
