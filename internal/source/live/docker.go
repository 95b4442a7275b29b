package live

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	dockerContainers = "var/lib/docker/containers"
	dockerSwarm      = "var/lib/docker/swarm/docker-state.json"
	// maxContainers bounds the containers looked at.
	maxContainers = 10_000
	// maxOption bounds one security option: a seccomp profile is given as its whole text.
	maxOption = 80
)

// hostConfig is hostconfig.json, which Docker keeps of each container, as far as controls ask about it.
type hostConfig struct {
	Privileged, ReadonlyRootfs, PublishAllPorts        bool
	NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode string
	CgroupParent                                       string
	Memory, CPUShares, NanoCPUs                        int64
	PidsLimit                                          *int64
	Binds, SecurityOpt, CapAdd, CapDrop                []string
	RestartPolicy                                      struct {
		Name              string
		MaximumRetryCount int
	}
	Devices      []struct{ PathOnHost string }
	Ulimits      []struct{ Name string }
	PortBindings map[string][]struct{ HostIP, HostPort string }
}

// containerConfig is config.v2.json.
type containerConfig struct {
	Name            string
	AppArmorProfile string
	ProcessLabel    string
	State           struct{ Running bool }
	Config          struct {
		Image, User string
		Healthcheck *struct{ Test []string }
	}
	MountPoints map[string]struct {
		Source, Destination, Propagation string
		RW                               bool
	}
}

// docker reads what Docker keeps of its containers, environment and labels left
// alone, and of the swarm it is in.
func (r *reader) docker() error {
	var swarm struct{ LocalAddr, ListenAddr, AdvertiseAddr, DataPathAddr string }
	switch err := r.decode(dockerSwarm, &swarm); {
	case err == nil:
		r.add("docker/swarm", dockerSwarm, map[string]string{
			"LocalAddr": swarm.LocalAddr, "ListenAddr": swarm.ListenAddr, "AdvertiseAddr": swarm.AdvertiseAddr, "DataPathAddr": swarm.DataPathAddr,
		})
	case !errors.Is(err, fs.ErrNotExist):
		r.unread("docker/swarm", err)
	}
	entries, err := r.list(dockerContainers)
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
		dir := dockerContainers + "/" + e.Name()
		var host hostConfig
		var config containerConfig
		if err := errors.Join(r.decode(dir+"/hostconfig.json", &host), r.decode(dir+"/config.v2.json", &config)); err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it is being removed
				r.unread("docker/container", err)
			}
			continue
		}
		data := host.settings()
		config.addTo(data)
		data["id"] = e.Name()[:min(len(e.Name()), 12)]
		r.add("docker/container", dir, data)
	}
	return nil
}

func (r *reader) decode(name string, into any) error {
	text, err := r.read(name, maxFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return nil
}

// settings are the fields of HostConfig by their names in Docker's API.
func (h *hostConfig) settings() map[string]string {
	pids := int64(0)
	if h.PidsLimit != nil {
		pids = *h.PidsLimit
	}
	data := map[string]string{
		"Privileged": strconv.FormatBool(h.Privileged), "ReadonlyRootfs": strconv.FormatBool(h.ReadonlyRootfs),
		"PublishAllPorts": strconv.FormatBool(h.PublishAllPorts),
		"NetworkMode":     h.NetworkMode, "PidMode": h.PidMode, "IpcMode": h.IpcMode, "UTSMode": h.UTSMode, "UsernsMode": h.UsernsMode,
		"CgroupParent": h.CgroupParent,
		"Memory":       strconv.FormatInt(h.Memory, 10), "CpuShares": strconv.FormatInt(h.CPUShares, 10),
		"NanoCpus": strconv.FormatInt(h.NanoCPUs, 10), "PidsLimit": strconv.FormatInt(pids, 10),
		"CapAdd": strings.Join(h.CapAdd, ","), "CapDrop": strings.Join(h.CapDrop, ","),
		"RestartPolicy": h.RestartPolicy.Name, "MaximumRetryCount": strconv.Itoa(h.RestartPolicy.MaximumRetryCount),
	}
	var options, devices, ulimits, ports []string
	for _, o := range h.SecurityOpt {
		options = append(options, strings.ToValidUTF8(o[:min(len(o), maxOption)], ""))
	}
	for _, d := range h.Devices {
		devices = append(devices, d.PathOnHost)
	}
	for _, u := range h.Ulimits {
		ulimits = append(ulimits, u.Name)
	}
	for _, bindings := range h.PortBindings {
		for _, b := range bindings {
			ports = append(ports, b.HostIP+":"+b.HostPort)
		}
	}
	data["SecurityOpt"], data["Devices"] = strings.Join(options, ","), strings.Join(devices, ",")
	data["Ulimits"], data["Ports"] = strings.Join(ulimits, ","), sortedList(ports)
	return data
}

// addTo adds the fields of the container itself; Mounts are "source:destination:propagation".
func (c *containerConfig) addTo(data map[string]string) {
	data["Name"] = strings.TrimPrefix(c.Name, "/")
	data["Running"] = strconv.FormatBool(c.State.Running)
	data["AppArmorProfile"], data["ProcessLabel"] = c.AppArmorProfile, c.ProcessLabel
	data["Image"], data["User"] = c.Config.Image, c.Config.User
	health := c.Config.Healthcheck
	data["Healthcheck"] = strconv.FormatBool(health != nil && len(health.Test) > 0 && health.Test[0] != "NONE")
	var mounts []string
	for _, m := range c.MountPoints {
		if m.Source != "" {
			mounts = append(mounts, path.Clean(m.Source)+":"+m.Destination+":"+m.Propagation)
		}
	}
	data["Mounts"] = sortedList(mounts)
}

func sortedList(list []string) string {
	slices.Sort(list)
	return strings.Join(list, ",")
}
