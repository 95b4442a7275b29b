//go:build !linux

// Command cluster starts a real Kubernetes; that takes Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "a test cluster needs Linux")
	os.Exit(1)
}
