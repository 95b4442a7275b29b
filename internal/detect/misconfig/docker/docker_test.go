package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/seawall"
)

func config(kind string, pairs ...string) seawall.ConfigFact {
	data := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	return seawall.ConfigFact{Kind: kind, Path: "x", Data: data}
}

func hostFacts(configs ...seawall.ConfigFact) detect.Facts {
	return detect.Facts{Asset: seawall.Asset{ID: "host:h", Kind: seawall.AssetHost}, Configs: configs, Now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
}

// files are those controls ask about, with one mode and owner; the socket has its own group.
func files(mode, uid, gid uint32) []seawall.FileFact {
	var out []seawall.FileFact
	for _, p := range []string{"usr/lib/systemd/system/docker.service", "etc/systemd/system/docker.socket", "etc/docker/certs.d/r/ca.crt",
		"etc/docker/ca.pem", "etc/docker/cert.pem", "etc/docker/key.pem", "run/docker.sock", "etc/docker/daemon.json", "etc/default/docker",
		"etc/sysconfig/docker", "run/containerd/containerd.sock", "etc/containerd/config.toml"} {
		out = append(out, seawall.FileFact{Path: p, Kind: "file", Mode: mode, UID: uid, GID: gid})
	}
	return append(out, seawall.FileFact{Path: "etc/docker", Kind: "directory", Mode: mode | mode>>2&0o111, UID: uid, GID: gid})
}

func weak() detect.Facts {
	f := hostFacts(
		config("host/mounts", "/", "ext4 rw"),
		config("host/mac", "apparmor", "Y", "selinux", "1"),
		config("host/accounts", "dockerMembers", "eve"),
		config("host/process", "pid", "1", "name", "systemd", "uid", "0", "namespace", "pid:[1]"),
		config("host/process", "pid", "2", "name", "dockerd", "uid", "0", "namespace", "pid:[1]"),
		config("host/process", "pid", "9", "name", "sshd", "uid", "0", "namespace", "pid:[7]"),
		config("docker/daemon", "hosts", "tcp://0.0.0.0:2375", "log-level", "debug", "iptables", "false", "insecure-registries", "r:5000",
			"storage-driver", "aufs", "cgroup-parent", "/other", "storage-opts", "dm.basesize=20G", "seccomp-profile", "/none.json",
			"experimental", "true", "tlscacert", "/etc/docker/ca.pem", "tlscert", "/etc/docker/cert.pem", "tlskey", "/etc/docker/key.pem"),
		config("docker/container", "Name", "bad", "Running", "true", "AppArmorProfile", "unconfined", "ProcessLabel", "", "SecurityOpt", "seccomp=unconfined",
			"CapAdd", "SYS_ADMIN", "Privileged", "true", "Mounts", "/etc:/x:rshared,/run/docker.sock:/run/docker.sock:", "Ports", ":22,0.0.0.0:8080", "PublishAllPorts", "true",
			"NetworkMode", "host", "Memory", "0", "CpuShares", "0", "NanoCpus", "0", "ReadonlyRootfs", "false", "RestartPolicy", "always",
			"MaximumRetryCount", "0", "PidMode", "host", "IpcMode", "host", "Devices", "/dev/sda", "Ulimits", "nofile", "UTSMode", "host", "CgroupParent", "/x",
			"Healthcheck", "false", "Image", "nginx", "PidsLimit", "0", "UsernsMode", "host"),
		config("docker/container", "Name", "bridged", "Running", "true", "AppArmorProfile", "", "ProcessLabel", "", "SecurityOpt", "",
			"CapAdd", "", "Privileged", "false", "Mounts", "", "Ports", "", "PublishAllPorts", "false",
			"NetworkMode", "default", "Memory", "0", "CpuShares", "0", "NanoCpus", "0", "ReadonlyRootfs", "false", "RestartPolicy", "",
			"MaximumRetryCount", "0", "PidMode", "", "IpcMode", "", "Devices", "", "Ulimits", "", "UTSMode", "", "CgroupParent", "",
			"Healthcheck", "false", "Image", "nginx:latest", "PidsLimit", "0", "UsernsMode", ""),
		config("docker/swarm", "ListenAddr", "0.0.0.0:2377", "DataPathAddr", "", "AdvertiseAddr", "10.0.0.4:2377"),
	)
	f.Files = files(0o666|0o111, 1000, 1000)
	return f
}

func hardened() detect.Facts {
	var watches []string
	for _, p := range []string{"/usr/bin/dockerd", "/run/containerd", "/var/lib/docker", "/etc/docker/", "/usr/lib/systemd/system/docker.service",
		"/run/containerd/containerd.sock", "/usr/lib/systemd/system/docker.socket", "/etc/default/docker", "/etc/containerd/config.toml",
		"/etc/sysconfig/docker", "/usr/bin/containerd", "/usr/bin/containerd-shim", "/usr/bin/containerd-shim-runc-v1",
		"/usr/bin/containerd-shim-runc-v2", "/usr/bin/runc"} {
		watches = append(watches, "watch "+p, "wa")
	}
	f := hostFacts(
		config("host/mounts", "/var/lib/docker", "xfs rw"),
		config("host/mac", "apparmor", "Y", "selinux", "1"),
		config("host/accounts", "dockerMembers", ""),
		config("host/audit", watches...),
		config("host/process", "pid", "1", "name", "systemd", "uid", "0", "namespace", "pid:[1]"),
		config("host/process", "pid", "2", "name", "dockerd", "uid", "1000", "namespace", "pid:[1]"),
		config("host/process", "pid", "3", "name", "sshd", "uid", "0", "namespace", "pid:[1]"),
		config("docker/daemon", "icc", "false", "userns-remap", "default", "no-new-privileges", "true", "live-restore", "true", "userland-proxy", "false",
			"authorization-plugins", "authz", "log-driver", "syslog", "default-ulimits.nofile.Hard", "64000",
			"tlscacert", "/etc/docker/ca.pem", "tlscert", "/etc/docker/cert.pem", "tlskey", "/etc/docker/key.pem"),
		config("docker/container", "Name", "good", "Running", "true", "AppArmorProfile", "docker-default", "ProcessLabel", "system_u:system_r:container_t:s0:c1,c2",
			"SecurityOpt", "no-new-privileges", "CapAdd", "", "Privileged", "false", "Mounts", "/srv/data:/data:rprivate", "Ports", "127.0.0.1:8080", "PublishAllPorts", "false",
			"NetworkMode", "web", "Memory", "1048576", "CpuShares", "0", "NanoCpus", "500000000", "ReadonlyRootfs", "true", "RestartPolicy", "on-failure",
			"MaximumRetryCount", "5", "PidMode", "", "IpcMode", "private", "Devices", "", "Ulimits", "", "UTSMode", "", "CgroupParent", "",
			"Healthcheck", "true", "Image", "registry:5000/nginx:1.27", "PidsLimit", "100", "UsernsMode", ""),
		config("docker/container", "Name", "stopped", "Running", "false", "Privileged", "true"),
	)
	f.Files = files(0o400, 0, 0)
	return f
}

// judged are the statuses of each control, and its first reason or evidence.
func judged(t *testing.T, f detect.Facts) (statuses map[string]string, words map[string]string) {
	t.Helper()
	res, err := New().Detect(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	statuses, words = map[string]string{}, map[string]string{}
	for _, f := range res.Findings {
		if !strings.Contains(statuses[f.Rule], string(f.Status)) {
			statuses[f.Rule] += string(f.Status) + " "
		}
		words[f.Rule] += f.Reason + f.Evidence + "\n"
	}
	return statuses, words
}

// TestEveryControlBothWays: each fails on the weak host and passes on the
// hardened one; what only a person can see is never judged.
func TestEveryControlBothWays(t *testing.T) {
	weakly, weakWords := judged(t, weak())
	firmly, firmWords := judged(t, hardened())
	swarm := hardened()
	swarm.Configs = append(swarm.Configs, config("docker/swarm", "ListenAddr", "10.0.0.4:2377", "DataPathAddr", "10.1.0.4", "AdvertiseAddr", "10.0.0.4:2377"))
	inSwarm, _ := judged(t, swarm)
	tcp := hardened()
	for i := range tcp.Configs {
		if tcp.Configs[i].Kind == "docker/daemon" {
			tcp.Configs[i].Data["hosts"], tcp.Configs[i].Data["tlsverify"] = "tcp://10.0.0.4:2376", "true"
		}
	}
	onNetwork, _ := judged(t, tcp)
	noSwarm := weak()
	noSwarm.Configs = noSwarm.Configs[:len(noSwarm.Configs)-1]
	weakAlone, _ := judged(t, noSwarm)
	special := map[string][2]string{ // statuses that need other facts than the two hosts'
		"SW-DKR-207": {weakly["SW-DKR-207"], onNetwork["SW-DKR-207"]},
		"SW-DKR-215": {weakAlone["SW-DKR-215"], firmly["SW-DKR-215"]},
		"SW-DKR-702": {weakly["SW-DKR-702"], inSwarm["SW-DKR-702"]},
		"SW-DKR-709": {weakly["SW-DKR-709"], inSwarm["SW-DKR-709"]},
	}
	all, err := control.Load(controls, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		bad, good := weakly[c.ID], firmly[c.ID]
		if s, ok := special[c.ID]; ok {
			bad, good = s[0], s[1]
		}
		if c.Manual != "" {
			if strings.Contains(bad+good, "pass") || strings.Contains(bad+good, "fail") {
				t.Errorf("%s is for a person, and was judged: %s %s", c.ID, bad, good)
			}
			continue
		}
		if !strings.Contains(bad, "fail") || strings.Contains(bad, "not-evaluated") {
			t.Errorf("%s on the weak host: %q %s", c.ID, bad, weakWords[c.ID])
		}
		if !strings.Contains(good, "pass") || strings.Contains(good, "fail") || strings.Contains(good, "not-evaluated") {
			t.Errorf("%s on the hardened host: %q %s", c.ID, good, firmWords[c.ID])
		}
	}
}

// TestHostsWithoutDocker have no findings, not even that nothing applies.
func TestHostsWithoutDocker(t *testing.T) {
	if statuses, _ := judged(t, hostFacts(config("host/mounts", "/", "ext4"))); len(statuses) > 0 {
		t.Errorf("%v", statuses)
	}
}

// TestEvidence: what a reader is told.
func TestEvidence(t *testing.T) {
	_, words := judged(t, weak())
	for rule, want := range map[string]string{
		"SW-DKR-205": "insecure-registries = r:5000",
		"SW-DKR-202": "icc is not set: the default is true",
		"SW-DKR-306": "/etc/docker has mode 777",
		"SW-DKR-505": "bad: Privileged = true",
	} {
		if !strings.Contains(words[rule], want) {
			t.Errorf("%s: %q, want %q", rule, words[rule], want)
		}
	}
}
