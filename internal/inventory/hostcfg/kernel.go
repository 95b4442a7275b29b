package hostcfg

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// judgedModules are the kernel modules controls ask about: file systems, buses
// and protocols few machines need.
func judgedModules() []string {
	return []string{
		"cramfs", "freevxfs", "jffs2", "hfs", "hfsplus", "squashfs", "udf", "usb_storage", "firewire_core", "thunderbolt", "bluetooth",
		"dccp", "sctp", "rds", "tipc", "can", "atm", "ax25", "netrom", "appletalk", "decnet", "n_hdlc", "x25", "af_802154",
	}
}

func isJudgedModule(name string) bool { return slices.Contains(judgedModules(), name) }

// moduleName is a module's name as the kernel shows it.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// kernelModules says of each judged module: "loaded", "builtin", "disabled" (it cannot
// be loaded), "blacklisted" (only not by itself), "loadable", "absent".
func (s *system) kernelModules() {
	running := s.live["host/modules"]
	state := map[string]string{}
	for _, l := range s.relevantModules() {
		maps.Copy(state, l)
	}
	delete(state, "release")
	if running == nil && len(s.modules) == 0 {
		s.emit("host/unread", "", map[string]string{"resource": "host/kernel-modules", "reason": "there is no kernel here: neither one that runs nor a list of its modules"})
		return
	}
	blocked, blacklisted := s.modprobe()
	data := map[string]string{}
	for _, name := range judgedModules() {
		switch {
		case running[name] != "":
			data[name] = "loaded"
		case state[name] == "builtin":
			data[name] = "builtin"
		case state[name] == "":
			data[name] = "absent"
		case blocked[name]:
			data[name] = "disabled"
		case blacklisted[name]:
			data[name] = "blacklisted"
		default:
			data[name] = "loadable"
		}
	}
	s.emit("host/kernel-modules", "etc/modprobe.d", data)
}

// relevantModules are the lists of the running kernel, or of all when none is running or its own is missing.
func (s *system) relevantModules() []map[string]string {
	release := s.live["host/kernel"]["release"]
	var own []map[string]string
	for _, l := range s.modules {
		if l["release"] == release {
			own = append(own, l)
		}
	}
	if len(own) > 0 || s.live["host/kernel"] != nil {
		return own
	}
	return s.modules
}

// modprobe reads modprobe.d(5).
func (s *system) modprobe() (blocked, blacklisted map[string]bool) {
	blocked, blacklisted = map[string]bool{}, map[string]bool{}
	for _, p := range s.in("etc/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d") {
		for _, line := range lines(s.texts[p]) {
			f := strings.Fields(line)
			switch {
			case len(f) >= 3 && f[0] == "install":
				program := path.Base(f[2])
				blocked[moduleName(f[1])] = program == "true" || program == "false" || program == "nologin"
			case len(f) == 2 && f[0] == "blacklist":
				blacklisted[moduleName(f[1])] = true
			}
		}
	}
	return blocked, blacklisted
}

// sysctlDrift compares the settings of sysctl.d(5) with those of the running kernel.
func (s *system) sysctlDrift() {
	running := s.live["host/sysctl"]
	if running == nil {
		return
	}
	wanted := map[string]string{}
	for _, p := range s.in("etc/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d") {
		sysctlFile(s.texts[p], wanted)
	}
	if text, ok := s.text("etc/sysctl.conf"); ok {
		sysctlFile(text, wanted)
	}
	var drift []string
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if now, ok := running[key]; ok && now != wanted[key] {
			drift = append(drift, key+" is "+now+", configured "+wanted[key])
		}
	}
	s.emit("host/sysctl-drift", "etc/sysctl.d", map[string]string{"drift": list(drift)})
}

// sysctlFile reads "key = value" lines; keys may be written with slashes, and begin with "-".
func sysctlFile(text string, into map[string]string) {
	for _, line := range lines(text) {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimPrefix(strings.TrimSpace(key), "-")
		if slash := strings.IndexByte(key, '/'); slash >= 0 && !strings.Contains(key[:slash], ".") {
			key = strings.NewReplacer("/", ".", ".", "/").Replace(key)
		}
		if ok && line[0] != ';' && !strings.Contains(key, "*") {
			into[key] = strings.Join(strings.Fields(value), " ")
		}
	}
}

// fstab reads fstab(5) in the shape of host/mounts.
func (s *system) fstab() {
	text, ok := s.text("etc/fstab")
	if !ok {
		return
	}
	data := map[string]string{}
	for _, line := range lines(text) {
		if f := strings.Fields(line); len(f) >= 4 && strings.HasPrefix(f[1], "/") {
			data[f[1]] = f[2] + " " + f[3]
		}
	}
	s.emit("host/fstab", "etc/fstab", data)
}

// boot reads the boot loader's files.
func (s *system) boot() {
	p, text, ok := s.first("boot/grub/grub.cfg", "boot/grub2/grub.cfg")
	if !ok {
		return
	}
	data := map[string]string{"password": "false", "superusers": "false"}
	if user, ok := s.text("boot/grub2/user.cfg"); ok && strings.Contains(user, "GRUB2_PASSWORD=") {
		data["password"] = "true"
	}
	for _, line := range lines(text) {
		switch f := strings.Fields(line); {
		case f[0] == "password_pbkdf2":
			data["password"] = "true"
		case f[0] == "set" && len(f) > 1 && strings.HasPrefix(f[1], "superusers="):
			data["superusers"] = "true"
		}
	}
	if text, ok := s.text("etc/default/grub"); ok {
		grub := map[string]string{}
		settings(text, grub)
		data["cmdline"] = strings.TrimSpace(grub["GRUB_CMDLINE_LINUX"] + " " + grub["GRUB_CMDLINE_LINUX_DEFAULT"])
	}
	s.emit("host/boot", p, data)
}

// services says of each unit of systemd: "enabled", "masked" or "disabled". A
// start script of System V counts as a unit of its name.
func (s *system) services() {
	if len(s.units) == 0 {
		return
	}
	data := map[string]string{}
	for _, u := range s.units {
		name, state := u["unit"], u["state"]
		if data[name] == "" || state == "masked" || state == "enabled" && data[name] != "masked" {
			data[name] = state
		}
	}
	s.emit("host/services", "etc/systemd/system", data)
}

// enabled says whether a unit starts by itself.
func (s *system) enabled(units ...string) bool {
	on := false
	for _, u := range s.units {
		if slices.Contains(units, u["unit"]) {
			if u["state"] == "masked" {
				return false
			}
			on = on || u["state"] == "enabled"
		}
	}
	return on
}
