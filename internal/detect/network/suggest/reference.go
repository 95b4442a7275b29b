package suggest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/seawall"
)

// reference is a mention of a host in a workload's settings.
type reference struct {
	// namespace and name are of a Service, when the host is one's name.
	namespace, name string
	host            string
	ports           portset.Set // empty when not said
	where           string      // "variable DB_HOST"
}

// maxText bounds what is searched of one workload's settings.
const maxText = 4 << 20

// configMaps is the text of every ConfigMap, by "namespace/name".
func configMaps(objects []seawall.Object) map[string]string {
	out := map[string]string{}
	for i := range objects {
		o := &objects[i]
		if o.Kind != "ConfigMap" || o.APIVersion != "v1" {
			continue
		}
		var in struct {
			Data map[string]string `json:"data"`
		}
		if json.Unmarshal(o.JSON, &in) != nil {
			continue // the reader of the objects has told
		}
		var keys []string
		for k := range in.Data {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		var b strings.Builder
		for _, k := range keys {
			b.WriteString(k + "=" + in.Data[k] + "\n")
		}
		out[o.Namespace+"/"+o.Name] = b.String()
	}
	return out
}

// calls are the hosts a workload's settings name, each once.
func (s *suggester) calls(w *reach.Workload) []reference {
	if w.Spec == nil {
		return nil
	}
	f := finder{suggester: s, namespace: w.Namespace, seen: map[string]bool{}}
	maps := map[string]bool{}
	for _, c := range slices.Concat(w.Spec.Containers, w.Spec.InitContainers) {
		for _, e := range c.Env {
			f.text(e.Name+"="+e.Value, "variable "+e.Name)
			maps[e.From.ConfigMap.Name] = true
		}
		for _, e := range c.EnvFrom {
			maps[e.ConfigMap.Name] = true
		}
		f.text(strings.Join(slices.Concat(c.Command, c.Args), "\n"), "an argument")
	}
	for _, v := range w.Spec.Volumes {
		if v.ConfigMap != nil {
			maps[v.ConfigMap.Name] = true
		}
	}
	names := make([]string, 0, len(maps))
	for name := range maps {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f.text(s.settings[w.Namespace+"/"+name], "ConfigMap "+name)
	}
	return f.found
}

// finder collects the references in a workload's settings.
type finder struct {
	*suggester
	namespace string
	seen      map[string]bool
	found     []reference
	size      int
}

// text looks for hosts: every run of letters, digits, dots and hyphens, judged by
// what stands around it.
func (f *finder) text(text, where string) {
	if f.size += len(text); f.size > maxText {
		return
	}
	for at := 0; at < len(text); {
		if !hostByte(text[at]) {
			at++
			continue
		}
		end := at
		for end < len(text) && hostByte(text[end]) {
			end++
		}
		f.word(text, at, end, where)
		at = end
	}
}

func hostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-'
}

// word judges one run. A bare word is a host only after "://", "@" or "=" and before
// nothing that continues a name, or before a port.
func (f *finder) word(text string, at, end int, where string) {
	host := strings.Trim(strings.ToLower(text[at:end]), ".-")
	scheme := ""
	if i := strings.LastIndex(text[:at], "://"); i >= 0 && (i+3 == at || strings.HasSuffix(text[:at], "@") && !strings.ContainsAny(text[i+3:at], " \n/")) {
		start := i
		for start > 0 && (hostByte(text[start-1]) || text[start-1] == '+') {
			start--
		}
		scheme = strings.ToLower(text[start:i])
	}
	if scheme == "" && at > 0 && text[at-1] == '/' {
		return // a part of a path
	}
	port := number(text[end:])
	whole := (at == 0 || text[at-1] == '=' || text[at-1] == '\n' || text[at-1] == '"' || text[at-1] == ',' || text[at-1] == ' ') &&
		(end == len(text) || strings.ContainsRune("\n,\"/: ", rune(text[end])))
	if scheme == "" && port == 0 && !whole {
		return
	}
	ref := reference{host: host, where: where}
	ref.namespace, ref.name = f.service(host)
	if scheme == "" && port == 0 && !strings.Contains(host, ".") && !namesHost(text[:at]) {
		return
	}
	if ref.name == "" && (scheme == "" || !outside(host)) {
		return
	}
	if port == 0 {
		port = schemePort(scheme)
	}
	if port != 0 {
		ref.ports, _ = portset.Of(portset.TCP, port, port)
		if ref.name != "" {
			if udp, err := portset.Of(portset.UDP, port, port); err == nil {
				ref.ports = ref.ports.Union(udp)
			}
		}
	}
	if key := host + ref.ports.Key(); !f.seen[key] {
		f.seen[key] = true
		f.found = append(f.found, ref)
	}
}

// namesHost says whether the setting that a value follows is one for hosts.
func namesHost(before string) bool {
	key := strings.ToUpper(before[strings.LastIndexByte(before, '\n')+1:])
	return slices.ContainsFunc([]string{"HOST", "ADDR", "URL", "URI", "SERVER", "ENDPOINT", "SERVICE", "BROKER", "PEER", "UPSTREAM", "BACKEND", "DSN"},
		func(word string) bool { return strings.Contains(key, word) })
}

// service is the Service a host is the name of: "db", "db.data", "db.data.svc",
// "db.data.svc.cluster.local", or a pod of a headless one ("db-0.db.data.svc").
func (f *finder) service(host string) (namespace, name string) {
	parts := strings.Split(host, ".")
	known := func(namespace, name string) bool { return f.Service(namespace, name) != nil }
	if i := slices.Index(parts, "svc"); i >= 2 && known(parts[i-1], parts[i-2]) {
		return parts[i-1], parts[i-2]
	}
	switch {
	case len(parts) == 1 && known(f.namespace, parts[0]):
		return f.namespace, parts[0]
	case len(parts) == 2 && known(parts[1], parts[0]):
		return parts[1], parts[0]
	case len(parts) == 2 && known(f.namespace, parts[1]):
		return f.namespace, parts[1]
	}
	return "", ""
}

// outside says whether a host that is no Service may be outside the cluster.
func outside(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return !ip.IsLoopback() && !ip.IsUnspecified()
	}
	dot := strings.LastIndexByte(host, '.')
	return dot > 0 && len(host)-dot > 2 && !strings.HasSuffix(host, ".local") && !strings.HasSuffix(host, ".svc") && !strings.HasSuffix(host, ".internal")
}

// number is the port after a colon; 0 when there is none.
func number(text string) int {
	if !strings.HasPrefix(text, ":") {
		return 0
	}
	end := 1
	for end < len(text) && end < 7 && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(text[1:end], 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

func schemePort(scheme string) int {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "postgres", "postgresql":
		return 5432
	case "mysql":
		return 3306
	case "redis":
		return 6379
	case "amqp":
		return 5672
	case "mongodb":
		return 27017
	}
	return 0
}
