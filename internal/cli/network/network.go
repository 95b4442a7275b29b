// Package network holds the commands network check, graph and suggest: who can
// reach whom on which port, of a live cluster or of manifests, and the policies
// that leave open what is needed.
package network

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/objects"
	"github.com/seawall-security/seawall/internal/detect/network/portset"
	"github.com/seawall-security/seawall/internal/detect/network/reach"
	"github.com/seawall-security/seawall/internal/detect/network/suggest"
	"github.com/seawall-security/seawall/internal/detect/network/view"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Command returns "seawall network".
func Command(env *command.Env) *cobra.Command {
	c := &commands{env}
	return command.Group("network", "Who can reach whom, and the policies to close the rest",
		`Network answers from NetworkPolicies, administrators' policies, Services, Ingresses
and Gateway API routes who can reach whom on which port: of the cluster of the current
kubeconfig, or of manifests, Helm charts and Kustomize directories given as PATHs.`,
		c.checkCommand(), c.graphCommand(), c.suggestCommand())
}

// commands are the subcommands of one invocation.
type commands struct{ *command.Env }

// input is the flags of what to read.
type input struct {
	objects.Flags
	offline bool
}

func (in *input) add(cmd *cobra.Command) {
	in.AddManifests(cmd)
	in.AddCluster(cmd)
	cmd.Flags().BoolVar(&in.offline, "offline", false, "never use the network: PATHs are needed")
}

// read makes a model of what the paths or the cluster hold. What could not be read is
// told and ends the command with exit 3 after its answer; see finish.
func (c *commands) read(cmd *cobra.Command, in *input, paths []string) (m *reach.Model, objects []seawall.Object, left int, err error) {
	facts, missed, err := in.Facts(cmd.Context(), c.Env, paths, in.offline)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, e := range missed {
		fmt.Fprintf(c.Stderr, "seawall: %s\n", command.Printable(e.Error()))
	}
	left = len(missed)
	for i := range facts.Configs {
		if f := &facts.Configs[i]; f.Kind == "kubernetes/unread" && matters(f.Data["resource"]) {
			fmt.Fprintf(c.Stderr, "seawall: %s could not be read: %s\n", command.Printable(f.Data["resource"]), command.Printable(f.Data["reason"]))
			left++
		}
	}
	cluster := reach.Read(facts.Objects)
	for _, p := range cluster.Problems {
		fmt.Fprintf(c.Stderr, "seawall: %s\n", command.Printable(p))
	}
	return reach.New(cluster), facts.Objects, left + len(cluster.Problems), nil
}

// matters says whether the answers depend on a resource.
func matters(resource string) bool {
	name, _, _ := strings.Cut(resource, ".")
	switch name {
	case "pods", "namespaces", "networkpolicies", "adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies",
		"deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "replicationcontrollers",
		"services", "ingresses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes", "nodes":
		return true
	}
	return false
}

// finish makes what was not read exit 3: an answer from a part is none.
func finish(left int, err error) error {
	if err == nil && left > 0 {
		return seawall.WithHint(fmt.Errorf("%s could not be read: the answer is of the rest", command.Plural(left, "object or list")), "mend or leave out what is named above")
	}
	return err
}

func (c *commands) checkCommand() *cobra.Command {
	var in input
	var from, to, port, format string
	cmd := &cobra.Command{
		Use:   "check --from END --to END [--port PROTOCOL/PORT] [PATH...]",
		Short: "Answer whether one end can reach another, and what decides it",
		Long: `Check answers whether anything of one end can connect to the other: exit 0 for yes,
1 for no. An END is NAMESPACE/NAME of a workload or pod, NAMESPACE/KIND/NAME,
NAMESPACE/service/NAME, an address or CIDR block, or the word internet.

To a Service the port is the Service's; otherwise it is the pod's. Without --port
the question is whether any port is open. From the internet something must lead to
the pods: a load balancer, a node port, an Ingress or a Gateway route.`,
		Example: `  seawall network check --from shop/web --to shop/db --port tcp/5432 ./manifests
  seawall network check --from shop/web --to 169.254.169.254 --port tcp/80
  seawall network check --from internet --to shop/service/web --port tcp/443`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json"}, format) {
				return command.Usage(cmd, fmt.Errorf("unknown format %q (want text or json)", format))
			}
			if from == "" || to == "" {
				return command.Usage(cmd, fmt.Errorf("--from and --to are needed"))
			}
			ports := portset.All()
			if port != "" {
				var err error
				if ports, err = portset.Parse(port); err != nil {
					return command.Usage(cmd, fmt.Errorf("--port: %w", err))
				}
			}
			m, _, left, err := c.read(cmd, &in, args)
			if err != nil {
				return err
			}
			src, err := m.Endpoint(from)
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			dst, err := m.Endpoint(to)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			answer := m.Check(src, dst, ports)
			if err := c.printAnswer(format, m, &answer); err != nil {
				return err
			}
			if err := finish(left, nil); err != nil {
				return err
			}
			if answer.Ports.Empty() {
				return &command.Error{Code: command.ExitBlocked, Err: fmt.Errorf("%s cannot reach %s", from, to), Silent: true}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "who connects")
	flags.StringVar(&to, "to", "", "to what")
	flags.StringVar(&port, "port", "", "PROTOCOL/PORT or PROTOCOL/FIRST-LAST, as in tcp/443 (default: any port)")
	command.AddFormat(cmd, &format, "text", "json")
	in.add(cmd)
	return cmd
}

// answerJSON is an answer's JSON form.
type answerJSON struct {
	From        string         `json:"from"`
	To          string         `json:"to"`
	Reachable   bool           `json:"reachable"`
	Ports       view.Ports     `json:"ports"`
	Sides       []sideJSON     `json:"sides"`
	Exposures   []exposureJSON `json:"exposures,omitempty"`
	Note        string         `json:"note,omitempty"`
	Assumptions []string       `json:"assumptions,omitempty"`
}

type sideJSON struct {
	Direction string        `json:"direction"`
	Workload  string        `json:"workload"`
	Allowed   bool          `json:"allowed"`
	Reason    string        `json:"reason"`
	Policies  []deciderJSON `json:"policies"`
}

type deciderJSON struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Rule      string `json:"rule,omitempty"`
	Action    string `json:"action"`
	Path      string `json:"path,omitempty"`
	Line      int    `json:"line,omitempty"`
}

type exposureJSON struct {
	Chain   []string   `json:"chain"`
	Ports   view.Ports `json:"ports"`
	Assumed string     `json:"assumed,omitempty"`
}

func (c *commands) printAnswer(format string, m *reach.Model, a *reach.Answer) error {
	if format == "json" {
		return command.WriteJSON(c.Stdout, jsonAnswer(m, a))
	}
	word := "yes"
	if a.Ports.Empty() {
		word = "no"
	}
	fmt.Fprintf(c.Stdout, "%s: %s to %s, %s\n", word, a.From, a.To, a.Asked)
	if !a.Ports.Empty() && !a.Ports.Equal(a.Asked) {
		fmt.Fprintf(c.Stdout, "  open: %s\n", a.Ports)
	}
	for _, s := range a.Sides {
		verdict := "closed"
		if s.Allowed {
			verdict = "open"
		}
		fmt.Fprintf(c.Stdout, "  %s of %s: %s, %s\n", s.Direction, s.Workload, verdict, s.Reason)
		for _, r := range s.Rules {
			l := r.Object.Location(r.Field)
			fmt.Fprintf(c.Stdout, "    %s %s", r.Object.Resource(), r.Action)
			if r.Field != "" {
				fmt.Fprintf(c.Stdout, " %s", r.Field)
			}
			if l.Path != "" {
				fmt.Fprintf(c.Stdout, " (%s:%d)", command.Printable(l.Path), l.Line)
			}
			fmt.Fprintln(c.Stdout)
		}
	}
	for _, e := range a.Exposures {
		fmt.Fprintf(c.Stdout, "  way in: %s -> %s  %s\n", strings.Join(e.Chain, " -> "), e.Workload.ID(), e.Ports)
		c.note(e.Assumed)
	}
	c.note(a.Note)
	for _, s := range m.Assumptions {
		c.note("assumed: " + s)
	}
	return nil
}

func (c *commands) note(text string) {
	if text != "" {
		fmt.Fprintf(c.Stdout, "  %s\n", text)
	}
}

func jsonAnswer(m *reach.Model, a *reach.Answer) answerJSON {
	out := answerJSON{From: a.From, To: a.To, Reachable: !a.Ports.Empty(), Ports: view.PortsOf(a.Ports), Note: a.Note, Assumptions: m.Assumptions}
	for _, s := range a.Sides {
		side := sideJSON{s.Direction.String(), s.Workload, s.Allowed, s.Reason, []deciderJSON{}}
		for _, r := range s.Rules {
			l := r.Object.Location(r.Field)
			side.Policies = append(side.Policies, deciderJSON{r.Object.Kind, r.Object.Namespace, r.Object.Name, r.Field, r.Action, l.Path, l.Line})
		}
		out.Sides = append(out.Sides, side)
	}
	for _, e := range a.Exposures {
		out.Exposures = append(out.Exposures, exposureJSON{e.Chain, view.PortsOf(e.Ports), e.Assumed})
	}
	return out
}

func (c *commands) graphCommand() *cobra.Command {
	var in input
	var format string
	formats := map[string]func(io.Writer, *reach.Model) error{"table": view.Table, "json": view.JSON, "dot": view.DOT, "html": view.HTML, "svg": view.SVG}
	cmd := &cobra.Command{
		Use:   "graph [PATH...]",
		Short: "Draw who can reach whom on which ports",
		Long: `Graph works out what every workload can reach: other workloads, and addresses outside
the cluster as CIDR blocks. JSON has one entry per pair:
{"connections": [{"from", "to", "ports": [{"protocol", "first", "last"}]}]}.
What pods of one workload can reach among one another is left out.`,
		Example: "  seawall network graph --format html > network.html\n  seawall network graph ./manifests --format json",
		RunE: func(cmd *cobra.Command, args []string) error {
			write := formats[format]
			if write == nil {
				return command.Usage(cmd, fmt.Errorf("unknown format %q", format))
			}
			m, _, left, err := c.read(cmd, &in, args)
			if err != nil {
				return err
			}
			for _, s := range m.Assumptions {
				fmt.Fprintf(c.Stderr, "seawall: assumed: %s\n", command.Printable(s))
			}
			return finish(left, write(c.Stdout, m))
		},
	}
	command.AddFormat(cmd, &format, "table", "html", "svg", "dot", "json")
	in.add(cmd)
	return cmd
}

func (c *commands) suggestCommand() *cobra.Command {
	var in input
	var options suggest.Options
	var format string
	cmd := &cobra.Command{
		Use:   "suggest [PATH...]",
		Short: "Write the network policies that leave open what is used today",
		Long: `Suggest prints NetworkPolicies per namespace: DNS, and for every workload what Services,
routes, host ports, webhooks and the names of Services in settings show to be used; with
--default-deny also one that denies the rest. Each says in comments why it allows what it
allows, and what is only guessed. Read them before you apply them.

Namespaces of the cluster itself (kube-…) are left out unless named with --namespace.`,
		Example: "  seawall network suggest --default-deny ./manifests > policies.yaml\n  seawall network suggest --default-deny --namespace shop | kubectl apply -f -",
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "yaml" && format != "json" {
				return command.Usage(cmd, fmt.Errorf("unknown format %q (want yaml or json)", format))
			}
			m, objects, left, err := c.read(cmd, &in, args)
			if err != nil {
				return err
			}
			set := suggest.For(m, objects, options)
			if format == "json" {
				return finish(left, suggest.WriteJSON(c.Stdout, set.Policies))
			}
			return finish(left, suggest.Write(c.Stdout, set.Policies))
		},
	}
	cmd.Flags().BoolVar(&options.DefaultDeny, "default-deny", false, "also deny, per namespace, what nothing allows")
	cmd.Flags().StringSliceVarP(&options.Namespaces, "namespace", "n", nil, "only these namespaces")
	command.AddFormat(cmd, &format, "yaml", "json")
	in.add(cmd)
	return cmd
}
