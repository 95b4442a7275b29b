package export

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"

	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
)

// The names of the variables that stand for our facts in exported policies.
const (
	objectName     = "seawallObject"
	podName        = "seawallPod"
	containersName = "seawallContainers"
	workloadName   = "seawallWorkload"
	referenceName  = "seawallReferences"
	imagesName     = "seawallImages"
)

// quoted is a text as CEL writes it.
func quoted(s string) string { return strconv.Quote(s) }

// namespace is the namespace as our policies know it, "" for what is in none, the
// Namespace objects among them.
func namespace() string {
	return `(request.kind.group == "" && request.kind.kind == "Namespace" ? "" : request.namespace)`
}

// anyOf says whether a text fits one of the patterns; those that are plain names are
// compared, which costs the API server less than a regular expression.
func anyOf(text string, patterns []string) string {
	var names, list []string
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?[\`) {
			list = append(list, expressionOf(p))
		} else {
			names = append(names, p)
		}
	}
	var either []string
	if len(names) > 0 {
		either = append(either, text+" in ["+quotedList(names)+"]")
	}
	if len(list) > 0 {
		either = append(either, text+".matches("+quoted("^(?:"+strings.Join(list, "|")+")$")+")")
	}
	return "(" + strings.Join(either, " || ") + ")"
}

// expressionOf is a pattern of path.Match, where ** matches anything, as a regular
// expression.
func expressionOf(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if strings.HasPrefix(pattern[i:], "**") {
				b.WriteString("(?s:.*)")
				i++
				continue
			}
			b.WriteString("[^/]*")
		case '?':
			b.WriteString("[^/]")
		case '[':
			end := i + 1 + strings.IndexByte(pattern[i+1:], ']')
			b.WriteString(pattern[i : end+1])
			i = end
		case '\\':
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return b.String()
}

// conditionsOf are criteria as conditions on a request, without their images and
// operations.
func conditionsOf(c *policy.Criteria) []string {
	var list []string
	if len(c.Namespaces) > 0 {
		list = append(list, anyOf(namespace(), c.Namespaces))
	}
	if len(c.Kinds) > 0 {
		list = append(list, "("+anyOf("request.kind.kind", c.Kinds)+" || "+anyOf(`(request.kind.kind + "." + request.kind.group)`, c.Kinds)+")")
	}
	if len(c.Operations) > 0 {
		list = append(list, "request.operation in ["+quotedList(c.Operations)+"]")
	}
	if len(c.Subjects) > 0 {
		list = append(list, "("+anyOf(`("user:" + request.userInfo.username)`, c.Subjects)+
			" || request.userInfo.groups.exists(g, "+anyOf(`("group:" + g)`, c.Subjects)+"))")
	}
	const labels = "(object != null ? object : oldObject).?metadata.?labels"
	for _, r := range c.Labels {
		has := labels + "[?" + quoted(r.Key) + "].hasValue()"
		in := labels + "[?" + quoted(r.Key) + `].orValue("") in [` + quotedList(r.Values) + "]"
		switch r.Operator {
		case "In":
			list = append(list, "("+has+" && "+in+")")
		case "NotIn":
			list = append(list, "!("+has+" && "+in+")")
		case "Exists":
			list = append(list, has)
		case "DoesNotExist":
			list = append(list, "!"+has)
		}
	}
	return list
}

func quotedList(words []string) string {
	var list []string
	for _, w := range words {
		list = append(list, quoted(w))
	}
	return strings.Join(list, ", ")
}

// images says whether an image fits the patterns: the one that a rule is asked about,
// one of all, or each of all.
func (x *exporter) images(patterns []string, one, each bool) string {
	fits := "(" + anyOf("image.name", patterns) + " || " + anyOf(`(image.registry + "/" + image.repository)`, patterns) + ")"
	all := "variables." + imagesName
	switch {
	case one:
		return fits
	case each:
		return "(size(" + all + ") > 0 && " + all + ".all(image, " + fits + "))"
	}
	return all + ".exists(image, " + fits + ")"
}

// containerFields are those of a container.
func containerFields() []string {
	return []string{
		"name", "image", "command", "args", "workingDir", "ports", "envFrom", "env", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules",
		"volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "terminationMessagePath", "terminationMessagePolicy",
		"imagePullPolicy", "securityContext", "stdin", "stdinOnce", "tty", "targetContainerName",
	}
}

// factOf is a fact about the workload.
func factOf(field string) string {
	object, pod := "variables."+objectName, "variables."+podName
	switch field {
	case "kind":
		return object + ".kind"
	case "name", "namespace":
		return object + ".?metadata.?" + field + `.orValue("")`
	case "labels", "annotations":
		return object + ".?metadata.?" + field + ".orValue({})"
	case "serviceAccount":
		return pod + `.?serviceAccountName.orValue("")`
	case "pod":
		return pod
	case "containers":
		return "variables." + containersName
	}
	return "variables." + workloadName + "." + field
}

// workloadVariables are the facts of policies about workloads and the names of their
// images. words are those that the policy says.
func workloadVariables(words map[string]bool) []v1.Variable {
	object := "variables." + objectName
	var facts []string
	for _, f := range []string{"kind", "namespace", "name", "labels", "annotations", "serviceAccount", "pod", "containers"} {
		facts = append(facts, quoted(f)+": dyn("+factOf(f)+")")
	}
	return []v1.Variable{
		{Name: podName, Expression: object + `.kind == "Pod" ? ` + object + `.spec : ` + object + `.kind == "CronJob" ? ` + object + `.spec.jobTemplate.spec.template.spec : ` +
			object + `.kind == "PodTemplate" ? ` + object + `.template.spec : ` + object + `.spec.template.spec`},
		{Name: containersName, Expression: containers(words)},
		{Name: workloadName, Expression: "{" + strings.Join(facts, ", ") + "}"},
		{Name: referenceName, Expression: references()},
		{Name: imagesName, Expression: names()},
	}
}

// containers are all of a workload's: as they are, or where the policy asks what kind one
// is or where, made again with that and the fields that the policy names.
func containers(words map[string]bool) string {
	object, pod := "variables."+objectName, "variables."+podName
	path := `(` + object + `.kind == "Pod" ? "spec" : ` + object + `.kind == "CronJob" ? "spec.jobTemplate.spec.template.spec" : ` +
		object + `.kind == "PodTemplate" ? "template.spec" : "spec.template.spec")`
	var fields []string
	for _, f := range containerFields() {
		if words[f] || f == "name" || f == "image" {
			fields = append(fields, "?"+quoted(f)+": c.?"+f)
		}
	}
	var lists []string
	for _, l := range [][2]string{{"initContainers", "init"}, {"containers", "container"}, {"ephemeralContainers", "ephemeral"}} {
		list := "dyn(" + pod + ".?" + l[0] + ".orValue([]))"
		if words["_kind"] || words["_path"] {
			list += `.transformList(i, c, {"_kind": dyn(` + quoted(l[1]) + `), "_path": dyn(` + path + ` + ` + quoted("."+l[0]+"[") + ` + string(i) + "]"), ` + strings.Join(fields, ", ") + `})`
		}
		lists = append(lists, list)
	}
	return strings.Join(lists, " + ")
}

// references takes the names of images apart: where the registry ends, the tag and the
// digest begin.
func references() string {
	steps := []string{
		"variables." + containersName + `.filter(c, c.?image.orValue("") != "").map(c, string(c.image))`,
		`map(n, {"rest": n.split("@", 2)[0], "digest": n.contains("@") ? n.split("@", 2)[1] : ""})`,
		`map(m, {"rest": m.rest, "digest": m.digest, "host": m.rest.contains("/") ? m.rest.split("/", 2)[0] : ""})`,
		`map(m, m.host != "" && (m.host.contains(".") || m.host.contains(":") || m.host == "localhost") ? ` +
			`{"registry": m.host == "index.docker.io" ? "docker.io" : m.host, "path": m.rest.split("/", 2)[1], "digest": m.digest} : ` +
			`{"registry": "docker.io", "path": m.rest, "digest": m.digest})`,
		`map(m, {"registry": m.registry, "digest": m.digest, "repository": m.path.split(":", 2)[0], ` +
			`"tag": m.path.contains(":") && m.path.split(":", 2)[1] != "" ? m.path.split(":", 2)[1] : m.digest == "" ? "latest" : ""})`,
	}
	return strings.Join(steps, ".")
}

// names are images as our policies know them by their names.
func names() string {
	return "variables." + referenceName + `.map(m, {"registry": m.registry, "digest": m.digest, "tag": m.tag, ` +
		`"repository": m.registry == "docker.io" && !m.repository.contains("/") ? "library/" + m.repository : m.repository})` +
		`.map(m, {"registry": m.registry, "repository": m.repository, "tag": m.tag, ?"digest": m.digest == "" ? optional.none() : optional.of(m.digest), ` +
		`"name": m.registry + "/" + m.repository + (m.tag == "" ? "" : ":" + m.tag) + (m.digest == "" ? "" : "@" + m.digest)})`
}

// mutation writes a mutating rule down.
func (x *exporter) mutation(r *policy.RuleOutline) error {
	m := r.Mutation
	switch {
	case r.Mode != policy.ModeEnforce:
		return no("a dry run of a mutation")
	case m.Harden != "":
		return no("harden needs the Pod Security Standards")
	case m.PinTags:
		return no("pinTags needs a registry")
	case m.DropTokenMounts, len(m.RewriteRegistries) > 0:
		return no("dropTokenMounts and rewriteRegistries are left to the webhook")
	}
	when, _, err := x.expressions(r)
	if err != nil {
		return err
	}
	return x.mutating(r, when)
}

// mutations are a rule's changes under its condition.
func (x *exporter) mutations(m *policy.Mutation, when string) ([]v1.Mutation, error) {
	if m.Expression == "" {
		var list []v1.Mutation
		for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
			missing := "!object.?metadata.?labels[?" + quoted(key) + "].hasValue()"
			list = append(list, configuration("("+when+") && "+missing, "Object{metadata: Object.metadata{labels: {"+quoted(key)+": "+quoted(m.Labels[key])+"}}}"))
		}
		return list, nil
	}
	text, err := x.translate(m.Expression)
	if err != nil {
		return nil, err
	}
	if m.Patch != 0 {
		return []v1.Mutation{{PatchType: v1.PatchTypeJSONPatch, JSONPatch: &v1.JSONPatch{Expression: "(" + when + ") ? (" + text + ") : []"}}}, nil
	}
	return []v1.Mutation{configuration(when, text)}, nil
}

func configuration(when, text string) v1.Mutation {
	return v1.Mutation{PatchType: v1.PatchTypeApplyConfiguration, ApplyConfiguration: &v1.ApplyConfiguration{Expression: "(" + when + ") ? (" + text + ") : Object{}"}}
}

// mutating is the policy of one rule.
func (x *exporter) mutating(r *policy.RuleOutline, when string) error {
	mutations, err := x.mutations(r.Mutation, when)
	if err != nil {
		return err
	}
	base := x.policy(scope{action: v1.Deny, pods: true})
	p := &v1.MutatingAdmissionPolicy{TypeMeta: base.TypeMeta, ObjectMeta: base.ObjectMeta}
	p.Kind, p.Name = "MutatingAdmissionPolicy", "seawall-"+x.Name+"-"+r.Name
	pods := base.Spec.MatchConstraints
	pods.ResourceRules = pods.ResourceRules[:1]
	pods.ResourceRules[0].Resources, pods.ResourceRules[0].Operations = []string{"pods"}, []v1.OperationType{v1.Create}
	var expressions []string
	for _, m := range mutations {
		if m.JSONPatch != nil {
			expressions = append(expressions, m.JSONPatch.Expression)
		} else {
			expressions = append(expressions, m.ApplyConfiguration.Expression)
		}
	}
	p.Spec = v1.MutatingAdmissionPolicySpec{
		FailurePolicy: base.Spec.FailurePolicy, MatchConstraints: pods, MatchConditions: base.Spec.MatchConditions,
		Variables: needed(x.variables(true), expressions...), Mutations: mutations, ReinvocationPolicy: v1.IfNeededReinvocationPolicy,
	}
	if err := kube.CheckMutating(p); err != nil {
		return no("the API server does not take %w", err)
	}
	binding := &v1.MutatingAdmissionPolicyBinding{TypeMeta: p.TypeMeta, ObjectMeta: p.ObjectMeta, Spec: v1.MutatingAdmissionPolicyBindingSpec{PolicyName: p.Name}}
	binding.Kind, binding.Annotations = "MutatingAdmissionPolicyBinding", nil
	x.out.Objects = append(x.out.Objects, p, binding)
	if r.Mutation.Templates != "ignore" {
		x.out.leave(x.Name, r.Name, "templates whose pods it would change are left to the webhook")
	}
	return nil
}
