package object

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxFlattened bounds the settings of one configuration and how deep they nest.
const maxFlattened, maxFlattenedDepth = 10_000, 50

// Components reads the settings of control-plane components from the pods that
// run them: one configuration fact each of kind kubernetes/kube-apiserver,
// kube-controller-manager, kube-scheduler, kube-proxy, etcd. Flags keep their
// dashes ("--profiling"); settings of kube-proxy's configuration file, which lies
// in a ConfigMap, are flattened with dots. Path is the object's resource name,
// or its file. Only namespace kube-system is looked at.
func Components(objects []*seawall.Object) []seawall.ConfigFact {
	var facts []seawall.ConfigFact
	for _, o := range objects {
		if o.Namespace != "kube-system" {
			continue
		}
		for _, c := range podContainers(o) {
			name, flags := commandLine(append(c.Command, c.Args...))
			if !isComponent(name) {
				continue
			}
			fact := seawall.ConfigFact{Kind: "kubernetes/" + name, Path: o.Path, Data: flags}
			if fact.Path == "" {
				fact.Path = o.Resource()
			}
			if name == "kube-proxy" {
				addProxyConfig(objects, flags)
			}
			facts = append(facts, fact)
		}
	}
	return facts
}

func isComponent(name string) bool {
	return slices.Contains([]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"}, name)
}

type container struct {
	Command []string `json:"command"`
	Args    []string `json:"args"`
}

// podContainers are the containers of a pod, or of the pods a workload makes.
func podContainers(o *seawall.Object) []container {
	type podSpec struct {
		Containers []container `json:"containers"`
	}
	var w struct {
		Spec struct {
			podSpec
			Template struct{ Spec podSpec } `json:"template"`
		} `json:"spec"`
	}
	switch o.Kind {
	case "Pod", "DaemonSet", "Deployment", "StatefulSet":
		if json.Unmarshal(o.JSON, &w) != nil {
			return nil
		}
	}
	return append(w.Spec.Containers, w.Spec.Template.Spec.Containers...)
}

// commandLine reads a component's command: its program and its flags. A shell's
// -c is looked into as far as words go.
func commandLine(argv []string) (name string, flags map[string]string) {
	if len(argv) >= 3 && argv[1] == "-c" {
		argv = strings.Fields(argv[2])
		if len(argv) > 0 && argv[0] == "exec" {
			argv = argv[1:]
		}
	}
	if len(argv) == 0 {
		return "", nil
	}
	name, argv = path.Base(argv[0]), argv[1:]
	if !isComponent(name) && len(argv) > 0 && isComponent(argv[0]) { // hyperkube kube-apiserver
		name, argv = argv[0], argv[1:]
	}
	return name, Flags(argv)
}

// Flags reads a component's arguments as pflag does: "--name=value", "--name value",
// and bare "--name", which is "true". Of a repeated flag all values are kept, with commas.
func Flags(args []string) map[string]string {
	flags := map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		if !strings.HasPrefix(name, "-") {
			continue
		}
		name = "--" + strings.TrimLeft(name, "-")
		if !given {
			value = "true"
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value = args[i]
			}
		}
		if earlier, repeated := flags[name]; repeated {
			value = earlier + "," + value
		}
		flags[name] = value
	}
	return flags
}

// addProxyConfig adds the settings of the ConfigMap kubeadm keeps them in.
func addProxyConfig(objects []*seawall.Object, flags map[string]string) {
	i := slices.IndexFunc(objects, func(o *seawall.Object) bool {
		return o.Kind == "ConfigMap" && o.Namespace == "kube-system" && o.Name == "kube-proxy"
	})
	var m struct {
		Data map[string]string `json:"data"`
	}
	if i < 0 || json.Unmarshal(objects[i].JSON, &m) != nil {
		return
	}
	if text, err := yaml.YAMLToJSON([]byte(m.Data["config.conf"])); err == nil {
		_ = Flatten(text, flags)
	}
}

// Flatten adds the settings of a JSON document to data, paths joined with dots:
// "authentication.anonymous.enabled". Lists of plain values are joined with
// commas; other elements have their number as a step of the path.
func Flatten(text []byte, data map[string]string) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	flatten("", v, data, 0)
	return nil
}

func flatten(prefix string, v any, data map[string]string, deep int) {
	if deep > maxFlattenedDepth || len(data) > maxFlattened {
		return
	}
	join := func(step string) string {
		if prefix == "" {
			return step
		}
		return prefix + "." + step
	}
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			flatten(join(k), child, data, deep+1)
		}
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			var plain bool
			if words[i], plain = scalar(item); !plain {
				for i, item := range v {
					flatten(join(strconv.Itoa(i)), item, data, deep+1)
				}
				return
			}
		}
		data[prefix] = strings.Join(words, ",")
	default:
		data[prefix], _ = scalar(v)
	}
}

func scalar(v any) (text string, plain bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case string:
		return v, true
	}
	return "", false
}

// CustomScopes reads which kinds the CustomResourceDefinitions among objects
// define. The answer for kinds that none defines is not known.
func CustomScopes(objects []*seawall.Object) func(apiVersion, kind string) (cluster, known bool) {
	type groupKind struct{ group, kind string }
	scopes := map[groupKind]bool{}
	for _, o := range objects {
		if o.Kind != "CustomResourceDefinition" {
			continue
		}
		var crd struct {
			Spec struct {
				Group, Scope string
				Names        struct{ Kind string }
			}
		}
		if json.Unmarshal(o.JSON, &crd) == nil {
			scopes[groupKind{crd.Spec.Group, crd.Spec.Names.Kind}] = crd.Spec.Scope == "Cluster"
		}
	}
	return func(apiVersion, kind string) (bool, bool) {
		cluster, known := scopes[groupKind{Group(apiVersion), kind}]
		return cluster, known
	}
}
