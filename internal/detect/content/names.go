package content

import "strings"

// capabilities are the names of capabilities(7), by number.
func capabilities() []string {
	return strings.Fields(`cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid
cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock cap_ipc_owner
cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin cap_sys_boot cap_sys_nice cap_sys_resource
cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write cap_audit_control cap_setfcap cap_mac_override cap_mac_admin
cap_syslog cap_wake_alarm cap_block_suspend cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore`)
}

// isDangerous tells the capabilities that lead to root or out of a container.
func isDangerous(capability string) bool {
	switch capability {
	case "cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_setuid", "cap_setgid", "cap_setfcap", "cap_setpcap",
		"cap_sys_module", "cap_sys_rawio", "cap_sys_ptrace", "cap_sys_admin", "cap_net_admin", "cap_mac_override", "cap_mac_admin",
		"cap_bpf", "cap_mknod", "cap_sys_chroot", "cap_sys_boot":
		return true
	}
	return false
}

// isKnownSetuid tells the setuid and setgid programs distributions install as such.
func isKnownSetuid(name string) bool {
	switch name {
	case "su", "sudo", "sudoedit", "passwd", "gpasswd", "chfn", "chsh", "newgrp", "sg", "chage", "expiry", "mount", "umount", "ping", "ping6",
		"arping", "traceroute6.iputils", "clockdiff", "pkexec", "polkit-agent-helper-1", "fusermount", "fusermount3", "crontab", "at",
		"ssh-keysign", "ssh-agent", "dbus-daemon-launch-helper", "unix_chkpwd", "pam_timestamp_check", "unix2_chkpwd", "newuidmap", "newgidmap",
		"wall", "write", "bsd-write", "locate", "mlocate", "plocate", "screen", "utempter", "userhelper", "usernetctl", "ntfs-3g",
		"mount.nfs", "mount.cifs", "mount.ecryptfs_private", "pppd", "exim4", "postdrop", "postqueue", "sendmail", "sendmail.sendmail", "bbsuid",
		"doas", "snap-confine", "chrome-sandbox", "Xorg.wrap", "vmware-user-suid-wrapper", "camel-lock-helper-1.2", "lxc-user-nic",
		"grub2-set-bootflag", "mail-lock", "mail-unlock", "mail-touchlock", "dotlockfile", "mutt_dotlock", "ksu", "opiepasswd", "staprun":
		return true
	}
	return false
}

// toolRule names the rule a program's name falls under, "" for none.
func toolRule(name string) string {
	switch name {
	case "masscan", "zmap", "hydra", "medusa", "sqlmap", "msfconsole", "msfvenom", "meterpreter", "john", "hashcat", "aircrack-ng", "nikto",
		"gobuster", "ffuf", "dirb", "wfuzz", "responder", "crackmapexec", "netexec", "nxc", "impacket-secretsdump", "mimikatz", "linpeas.sh", "linpeas",
		"pspy", "pspy64", "pspy32", "chisel", "ligolo-agent", "ligolo-proxy", "sliver-server", "sliver-client", "evil-winrm", "kerbrute", "bloodhound",
		"commix", "weevely", "wpscan", "ettercap", "bettercap", "reaver", "patator", "crunch", "cewl", "exploitdb", "searchsploit", "deepce.sh",
		"amicontained", "cdk", "peirates", "kube-hunter", "kubeletctl", "botb", "xmrig", "minerd", "cpuminer", "ethminer":
		return ruleOffensive
	case "nmap", "nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "tcpdump", "tshark", "strace", "gdb", "gdbserver", "proxychains",
		"proxychains4", "ngrok", "frpc", "frps", "hping3", "arpspoof", "dsniff", "telnet", "rsh", "rlogin", "sshpass":
		return ruleDualUse
	case "gcc", "g++", "cc", "c++", "cpp", "clang", "clang++", "tcc", "ld", "as", "make", "cmake", "ninja", "go", "rustc", "cargo", "javac", "ghc",
		"gfortran", "nasm", "fpc", "dmd", "ldc2", "zig", "tinygo":
		return ruleCompiler
	case "apt", "apt-get", "dpkg", "aptitude", "yum", "dnf", "microdnf", "tdnf", "rpm", "zypper", "apk", "pacman", "emerge", "opkg", "pip", "pip3",
		"npm", "npx", "yarn", "pnpm", "gem", "bundle", "composer", "conda", "mamba", "poetry", "pipenv", "uv", "brew":
		return ruleManager
	}
	return ""
}
