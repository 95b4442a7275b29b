//go:build linux

// Command cluster starts and stops a real Kubernetes for people:
//
//	go run ./test/cluster up [--kubelet|--kubeadm]      start one (or find it running), print its KUBECONFIG
//	go run ./test/cluster down [DIR...]               stop the clusters in these directories, or all of this
//	                                                  machine (those of running tests, too), and remove what
//	                                                  killed ones left
//	go run ./test/cluster build                       build its programs into the cache
//
// Without a flag it is the control plane alone. With --kubelet it runs pods, with
// --kubeadm the control plane itself is pods, as kubeadm does it.
// The other commands are its own: keep is the process that owns a cluster
// (package keeper), node-enter and node-init start a node (package node).
// Tests use package test/cluster/cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/seawall-security/seawall/test/cluster/keeper"
	"github.com/seawall-security/seawall/test/cluster/kubebinary"
	"github.com/seawall-security/seawall/test/cluster/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch args[0] {
	case "up":
		return up(ctx, slices.Contains(args, "--kubelet"), slices.Contains(args, "--kubeadm"))
	case "down":
		return keeper.Down(ctx, args[1:]...)
	case "build":
		path, err := kubebinary.Build(ctx)
		if err == nil {
			fmt.Fprintln(os.Stdout, path)
		}
		return err
	case "keep":
		return keeper.Keep(os.Stdin, os.Stdout)
	case "node-enter":
		return node.Enter(args[1])
	case "node-init":
		return node.Init(args[1])
	}
	return fmt.Errorf("usage: go run ./test/cluster up [--kubelet | --kubeadm] | down [DIR...] | build")
}

func up(ctx context.Context, kubelet, kubeadm bool) error {
	kube, err := kubebinary.Build(ctx)
	if err != nil {
		return err
	}
	self, err := kubebinary.BuildKeeper(ctx)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("up, kubelet %v, kubeadm %v", kubelet, kubeadm)
	state, err := keeper.Share(ctx, self, keeper.Spec{Kube: kube, Key: key, Options: keeper.Options{Kubelet: kubelet, Kubeadm: kubeadm}})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "export KUBECONFIG=%s\n", state.Kubeconfig())
	fmt.Fprintf(os.Stderr, "kubectl: %s kubectl; to stop it: go run ./test/cluster down\n", state.Kube)
	return nil
}
