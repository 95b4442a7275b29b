// Package all puts the actors of package enforce together.
package all

import (
	"net/netip"
	"path/filepath"
	"time"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/capture"
	"github.com/seawall-security/seawall/internal/enforce/pod"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/enforce/quarantine"
)

// Config is what the actors need of their surroundings.
type Config struct {
	// State is a directory for what outlives the process: quarantines, bundles.
	State string
	// Pods is the way to the API server; nil is none: then pods are not deleted, and
	// a quarantine is of the network alone.
	Pods *pod.Config
	// Peers are the node's addresses: its probes reach pods in quarantine.
	Peers []netip.Addr
	// Packets is how long a capture listens to the network; 0 is not at all.
	Packets time.Duration
}

// New returns an Enforcer with every action that can be carried out here. Quarantines
// of an earlier process are taken up again; an error with an Enforcer says that some
// could not be.
func New(c Config) (*enforce.Enforcer, error) {
	killer := &process.Killer{}
	capturer := capture.New(capture.Config{Dir: filepath.Join(c.State, "captures"), Packets: c.Packets})
	cuts := quarantine.Config{Peers: c.Peers, File: filepath.Join(c.State, "quarantines.json")}
	actors := map[string]enforce.Actor{
		enforce.KillProcess: killer.Process, enforce.KillContainer: killer.Container, enforce.Capture: capturer.Capture,
	}
	var parts []enforce.Part
	if c.Pods != nil {
		client, err := pod.New(*c.Pods)
		if err != nil {
			return nil, err
		}
		actors[enforce.DeletePod] = client.Delete
		cuts.Pods = client
		parts = append(parts, enforce.Part{Close: client.Close})
	}
	q := quarantine.New(cuts)
	actors[enforce.Isolate], actors[enforce.Release] = q.Isolate, q.Release
	parts = append(parts, enforce.Part{Run: q.Run, Close: q.Close})
	return enforce.New(actors, parts...), q.Restore()
}
