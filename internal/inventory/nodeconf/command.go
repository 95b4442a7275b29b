package nodeconf

import (
	"path"
	"strings"
)

// components are the programs whose command lines are kept.
func isComponent(name string) bool {
	switch name {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet", "kube-proxy", "dockerd":
		return true
	}
	return false
}

// command finds the component a command line starts, also behind a shell, an env
// or hyperkube, and its flags.
func command(args []string) (component string, flags map[string]string) {
	for i, arg := range args {
		if name := path.Base(arg); isComponent(name) && !strings.HasPrefix(arg, "-") {
			return name, parseFlags(args[i+1:])
		}
	}
	return "", nil
}

// parseFlags reads "--name=value", "--name value" and "--name"; underscores in
// names are dashes. A list flag given several times is joined with commas; of
// another the last counts.
func parseFlags(args []string) map[string]string {
	flags := map[string]string{}
	for i := 0; i < len(args); i++ {
		if args[i] == "" || args[i][0] != '-' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !ok {
			value = "true"
			if i+1 < len(args) && args[i+1] != "" && args[i+1][0] != '-' {
				i++
				value = args[i]
			}
		}
		if name = "--" + strings.ReplaceAll(name, "_", "-"); name == "--" {
			continue
		}
		if before, set := flags[name]; set && listFlag(name) {
			value = before + "," + value
		}
		flags[name] = value
	}
	return flags
}

// listFlag tells flags whose values add up.
func listFlag(name string) bool {
	switch name {
	case "--enable-admission-plugins", "--disable-admission-plugins", "--authorization-mode", "--tls-cipher-suites", "--cipher-suites",
		"--feature-gates", "--service-account-key-file", "--service-account-issuer", "--api-audiences", "--runtime-config", "--kubelet-arg",
		"--kube-apiserver-arg", "--kube-controller-manager-arg", "--kube-scheduler-arg", "--host", "--H", "--insecure-registry",
		"--log-opt", "--default-ulimit", "--storage-opt", "--authorization-plugin", "--exec-opt":
		return true
	}
	return false
}
