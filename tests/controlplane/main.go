// Command controlplane is a Kubernetes control plane for tests in one file: `controlplane NAME [flags]` runs one part of
// it, and launch.py runs them all.
//
// The servers are the published ones, at the version in go.mod. Nodes and pods are played by `kubelet`, since nothing
// may really run on the machine of a test.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// Each takes its flags without its own name and returns the exit code.
var commands = map[string]func([]string) int{
	"etcd":    runEtcd,
	"kubelet": runKubelet,
	"pki":     runPKI,
	"proxy":   runProxy,
	"kube-apiserver": func([]string) int {
		return cli.Run(apiserver.NewAPIServerCommand())
	},
	"kube-controller-manager": func([]string) int {
		return cli.Run(controllermanager.NewControllerManagerCommand())
	},
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: controlplane %s [flags]\n", strings.Join(names(), "|"))
		os.Exit(2)
	}
	if os.Getenv("CONTROLPLANE_END_WITH_STDIN") != "" {
		go endWithStdin()
	}
	name := os.Args[1]
	// The servers read os.Args by themselves.
	os.Args = append([]string{name}, os.Args[2:]...)
	os.Exit(commands[name](os.Args[1:]))
}

// endWithStdin ends this process when whoever holds the other end of the pipe does, even by SIGKILL: a test run that was
// killed leaves nothing behind.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func names() []string {
	found := make([]string, 0, len(commands))
	for name := range commands {
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}
