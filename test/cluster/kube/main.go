// Command kube is every program of a Kubernetes cluster in one: it runs the one
// its first argument names, or the one whose name it has been given itself.
//
//	kube etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|kubectl [flags]
//	kube authz <questions >answers
//
// It is a module of its own because nothing else may need k8s.io/kubernetes.
// Package test/cluster/cluster builds it, keeps the result and runs it.
//
// authz is Kubernetes' own RBAC authorizer over roles that it is given, without
// a cluster. Standard input is a stream of JSON documents, standard output has
// one answer per document, in order:
//
//	{"roles": [Role…], "clusterRoles": [ClusterRole…],
//	 "roleBindings": [RoleBinding…], "clusterRoleBindings": [ClusterRoleBinding…],
//	 "questions": [{"user": "jane", "groups": ["dev"], "verb": "get", "apiGroup": "apps",
//	                "resource": "deployments", "subresource": "scale", "name": "web", "namespace": "shop",
//	                "path": "/metrics", "subjects": false}]}
//	{"answers": [{"allowed": true, "reason": "…", "subjects": [Subject…]}]}
//
// Objects are rbac.authorization.k8s.io/v1 as in manifests. A question with a
// path is about a non-resource URL. With "subjects": true the answer also lists
// the subjects that the bindings allow this (user and groups are not looked at
// for it), with system:masters first, as kubectl's SubjectLocator does.
// A role that a binding names and that is not there is no error: the reason says so.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "authz"}

func main() {
	// The programs read os.Args: their own name and flags are all they see.
	if program := filepath.Base(os.Args[0]); slices.Contains(programs, program) {
		os.Args[0] = program
	} else {
		os.Args = os.Args[1:]
	}
	if len(os.Args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: kube PROGRAM [flags]; programs:", programs)
		os.Exit(2)
	}
	os.Exit(run(os.Args[0]))
}

func run(program string) int {
	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kubelet":
		return cli.Run(kubelet.NewKubeletCommand(context.Background()))
	case "kube-proxy":
		return cli.Run(proxy.NewProxyCommand())
	case "kubectl":
		return cli.Run(kubectl.NewDefaultKubectlCommand())
	case "authz":
		if err := authorize(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "authz:", err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(os.Stderr, "unknown program %q; programs: %v\n", program, programs)
	return 2
}
