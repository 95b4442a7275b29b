// Package attacks is a table of what intruders do in containers, each acted out by a
// command that does no harm, tied to the rule of ours that finds it, and with a twin:
// everyday work like it that must stay silent.
//
// The commands run in a container of Image, given to its tool one after another
// (Steps), which tells when each began and ended (Results): what a sensor saw of that
// container in between is the command's. test/cluster/runtime does so in real pods.
package attacks

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"

	"github.com/seawall-security/seawall/test/attacks/step"
	"github.com/seawall-security/seawall/test/cluster/image"
)

// Attack is one technique, acted out.
type Attack struct {
	// Rule finds it; Technique, one of the rule's, is what it is in MITRE ATT&CK.
	Rule      string `yaml:"rule"`
	Technique string `yaml:"technique"`
	// Attack and Twin are commands of a shell: what is to be found, and work that is not.
	Attack string `yaml:"attack"`
	Twin   string `yaml:"twin"`
	// Programs are names beside busybox's that the commands call.
	Programs []string `yaml:"programs"`
}

//go:embed attacks.yaml
var table []byte

// All is the table.
func All() ([]Attack, error) {
	var all []Attack
	decoder := yaml.NewDecoder(bytes.NewReader(table))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("attacks.yaml: %w", err)
	}
	return all, nil
}

// Steps is the input of the tool's run: the attacks, or their twins. A step's name is its number in all.
func Steps(all []Attack, twins bool) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	for i, a := range all {
		command := a.Attack
		if twins {
			command = a.Twin
		}
		_ = encoder.Encode(step.Step{Name: fmt.Sprint(i), Command: command}) // texts can be encoded
	}
	return b.Bytes()
}

// Results reads what the tool's run answered: one for each of n steps, in order.
func Results(answer []byte, n int) ([]step.Result, error) {
	results := make([]step.Result, 0, n)
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var r step.Result
		err := decoder.Decode(&r)
		switch {
		case err == io.EOF && len(results) == n:
			return results, nil
		case err != nil:
			return nil, fmt.Errorf("%d results of %d: %w", len(results), n, err)
		}
		results = append(results, r)
	}
}

// Image is what the commands run in: files, by path, among them /bin/busybox and
// /bin/tool; busybox's applets in /bin, and in /usr/bin the tool under the names the
// attacks want. Its first process waits.
func Image(files map[string][]byte, applets []string, all []Attack) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	entry := func(h tar.Header, data []byte) error {
		h.Size, h.Mode = int64(len(data)), 0o755
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	links := map[string]string{}
	for _, name := range applets {
		links["bin/"+name] = "/bin/busybox"
	}
	for _, a := range all {
		for _, name := range a.Programs {
			links["usr/bin/"+name] = "/bin/tool"
		}
	}
	for _, dir := range strings.Fields("opt/ tmp/ mnt/") {
		if err := entry(tar.Header{Typeflag: tar.TypeDir, Name: dir}, nil); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		delete(links, strings.TrimPrefix(name, "/"))
		if err := entry(tar.Header{Name: strings.TrimPrefix(name, "/")}, files[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		if err := entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: links[name]}, nil); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return image.FromLayer(layer.Bytes(), "/usr/bin:/bin", "/bin/tool", "wait")
}
