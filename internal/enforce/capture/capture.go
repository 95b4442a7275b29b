// Package capture keeps evidence of a container or a process before it is gone.
//
// A bundle is one gzipped tar file:
//
//	events.jsonl             what is known to have happened, oldest first
//	processes.json           the processes: command line, identity, open files, names of environment variables
//	proc/PID/{maps,status}   their memory maps and state, as proc(5) has them
//	net/{tcp,udp,…}          the sockets of their network namespace
//	mountinfo                their mounts
//	packets.pcap             what went over the network meanwhile, where that is asked for
//	manifest.json            what was caught, why and when, what could not be read; every file's size and SHA-256
//
// The values of environment variables are left out: they are where secrets are.
// Everything is bounded, in size and time; what a bound cut is in the manifest.
package capture

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/seawall"
)

// SchemaVersion is the manifest's.
const SchemaVersion = "seawall.capture/v1"

// The bounds.
const (
	maxProcesses = 512
	maxFile      = 4 << 20
	maxBundle    = 64 << 20
	maxBundles   = 100
	maxPackets   = 16 << 20
)

// Config is where bundles go.
type Config struct {
	// Dir is the directory, made when it is not there. It takes 100 bundles; then
	// captures fail until somebody has taken some away.
	Dir string
	// Packets is how long packets are captured; 0 is not at all.
	Packets time.Duration
	Now     func() time.Time
}

// Capturer writes bundles. It is safe for concurrent use.
type Capturer struct{ config Config }

// New returns a Capturer.
func New(c Config) *Capturer {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Capturer{c}
}

// Manifest says what a bundle holds.
type Manifest struct {
	SchemaVersion string             `json:"schemaVersion"`
	Time          string             `json:"time"` // RFC 3339
	Policy        string             `json:"policy,omitempty"`
	Rule          string             `json:"rule,omitempty"`
	PID           int                `json:"pid,omitempty"`
	Container     *seawall.Container `json:"container,omitempty"`
	Finding       *seawall.Finding   `json:"finding,omitempty"`
	Files         []File             `json:"files"`
	// Incomplete says what is not there, and why.
	Incomplete []string `json:"incomplete,omitempty"`
}

// File is one file of a bundle.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Capture writes a bundle about an action's container, or about its process, its
// parents and children: CgroupPath or PID are needed.
func (c *Capturer) Capture(ctx context.Context, a *enforce.Action) enforce.Outcome {
	pids, err := c.subjects(&a.Subject)
	if err != nil {
		return enforce.Outcome{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second+c.config.Packets)
	defer cancel()
	now := c.config.Now().UTC()
	name, err := c.name(&a.Subject, now)
	if err != nil {
		return enforce.Outcome{Err: err}
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return enforce.Outcome{Err: fmt.Errorf("writing a bundle: %w", err)}
	}
	b := newBundle(f)
	b.manifest = Manifest{SchemaVersion: SchemaVersion, Time: now.Format(time.RFC3339), Policy: a.Policy, Rule: a.Rule, PID: a.Subject.PID, Container: a.Subject.Container, Finding: a.Finding}
	b.fill(ctx, pids, a.Events, c.config.Packets)
	if err := errors.Join(b.close(), f.Close()); err != nil {
		return enforce.Outcome{Err: errors.Join(fmt.Errorf("writing a bundle: %w", err), os.Remove(f.Name()))}
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return enforce.Outcome{Err: fmt.Errorf("writing a bundle: %w", err)}
	}
	return enforce.Outcome{Path: name, Detail: fmt.Sprintf("%d processes are in %s", len(pids), name)}
}

// subjects are the processes to look at.
func (c *Capturer) subjects(s *seawall.Subject) (pids []int, err error) {
	if s.Container == nil {
		pids, err = family(s)
	} else {
		var dir string
		if dir, err = enforce.CgroupDir(s); err == nil {
			pids, err = process.Members(dir)
		}
	}
	if err == nil && len(pids) == 0 {
		err = fmt.Errorf("no process: %w", enforce.ErrGone)
	}
	return pids, err
}

// name is a new bundle's.
func (c *Capturer) name(s *seawall.Subject, now time.Time) (string, error) {
	if err := os.MkdirAll(c.config.Dir, 0o700); err != nil {
		return "", fmt.Errorf("writing a bundle: %w", err)
	}
	there, err := filepath.Glob(filepath.Join(c.config.Dir, "capture-*"))
	if err != nil {
		return "", err
	}
	if len(there) >= maxBundles {
		return "", seawall.WithHint(fmt.Errorf("%s holds %d bundles: %w", c.config.Dir, len(there), seawall.ErrBound), "take bundles away from "+c.config.Dir)
	}
	of := fmt.Sprint(s.PID)
	if s.Container != nil {
		of = s.Container.ID[:12]
	}
	base := fmt.Sprintf("capture-%s-%s", now.Format("20060102T150405.000000000"), of)
	return filepath.Join(c.config.Dir, base+".tar.gz"), nil
}

// bundle is a tar file in the making.
type bundle struct {
	zip      *gzip.Writer
	tar      *tar.Writer
	manifest Manifest
	left     int64
	err      error // of writing
}

func newBundle(w io.Writer) *bundle {
	zip := gzip.NewWriter(w)
	return &bundle{zip: zip, tar: tar.NewWriter(zip), left: maxBundle}
}

// add adds a file, cut where it is over a bound.
func (b *bundle) add(name string, data []byte) {
	if keep := min(int64(b.bound(name)), b.left); int64(len(data)) > keep {
		b.missing("%s: %d bytes are cut off", name, int64(len(data))-keep)
		data = data[:keep]
	}
	b.left -= int64(len(data))
	sum := sha256.Sum256(data)
	b.manifest.Files = append(b.manifest.Files, File{name, int64(len(data)), hex.EncodeToString(sum[:])})
	b.write(name, data)
}

// bound is the most of one file.
func (b *bundle) bound(name string) int {
	if name == "packets.pcap" {
		return maxPackets
	}
	return maxFile
}

func (b *bundle) write(name string, data []byte) {
	if b.err != nil {
		return
	}
	if b.err = b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Format: tar.FormatPAX}); b.err == nil {
		_, b.err = b.tar.Write(data)
	}
}

// copy adds a file of /proc, or says why it is not there.
func (b *bundle) copy(name, from string) {
	f, err := os.Open(from)
	if err != nil {
		b.missing("%s: %v", name, err)
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		b.missing("%s: %v", name, err)
	}
	b.add(name, data)
}

func (b *bundle) missing(format string, args ...any) {
	b.manifest.Incomplete = append(b.manifest.Incomplete, fmt.Sprintf(format, args...))
}

// fill adds everything. Packets are captured meanwhile.
func (b *bundle) fill(ctx context.Context, pids []int, events []seawall.Event, packets time.Duration) {
	type caught struct {
		data []byte
		err  error
	}
	capture := make(chan caught, 1)
	if packets > 0 {
		go func() {
			data, err := sniff(ctx, pids[0], packets)
			capture <- caught{data, err}
		}()
	}
	b.events(events)
	if len(pids) > maxProcesses {
		b.missing("%d of %d processes", len(pids)-maxProcesses, len(pids))
		pids = pids[:maxProcesses]
	}
	var all []Process
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			b.missing("processes from %d on: %v", pid, err)
			break
		}
		p, err := read(pid)
		if err != nil {
			b.missing("process %d: %v", pid, err)
			continue
		}
		all = append(all, *p)
		for _, name := range []string{"maps", "status"} {
			b.copy(fmt.Sprintf("proc/%d/%s", pid, name), fmt.Sprintf("/proc/%d/%s", pid, name))
		}
	}
	slices.SortFunc(all, func(x, y Process) int { return cmp.Compare(x.Started, y.Started) })
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		b.missing("processes.json: %v", err)
	}
	b.add("processes.json", data)
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "packet", "unix", "route", "arp"} {
		b.copy("net/"+name, fmt.Sprintf("/proc/%d/net/%s", pids[0], name))
	}
	b.copy("mountinfo", fmt.Sprintf("/proc/%d/mountinfo", pids[0]))
	if packets > 0 {
		c := <-capture
		if c.err != nil {
			b.missing("packets.pcap: %v", c.err)
		}
		b.add("packets.pcap", c.data)
	}
}

func (b *bundle) events(events []seawall.Event) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i := range events {
		if err := encoder.Encode(&events[i]); err != nil {
			b.missing("event %d: %v", i, err)
		}
	}
	b.add("events.jsonl", lines.Bytes())
}

func (b *bundle) close() error {
	data, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return err
	}
	b.write("manifest.json", data)
	return errors.Join(b.err, b.tar.Close(), b.zip.Close())
}

// Process is one process of processes.json.
type Process struct {
	PID     int    `json:"pid"`
	Parent  int    `json:"parent"`
	Started uint64 `json:"started"` // nanoseconds since boot
	Name    string `json:"name"`
	// Exe, Dir and Root are links of proc(5): " (deleted)" says that the file is gone.
	Exe         string   `json:"exe,omitempty"`
	Dir         string   `json:"dir,omitempty"`
	Root        string   `json:"root,omitempty"`
	CommandLine []string `json:"commandLine"`
	// UIDs and GIDs are real, effective, saved and of file access.
	UIDs []string `json:"uids"`
	GIDs []string `json:"gids"`
	// Capabilities are the effective ones, as a hexadecimal mask.
	Capabilities string `json:"capabilities"`
	// Environment are names of variables.
	Environment []string `json:"environment,omitempty"`
	// Open are descriptors with what they are open on.
	Open []Open `json:"open,omitempty"`
}

// Open is a descriptor.
type Open struct {
	FD string `json:"fd"`
	On string `json:"on"`
}

// status reads what identifies a process.
func status(pid int) (*Process, error) {
	started, err := process.Started(pid)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	p := &Process{PID: pid, Started: started}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); key {
		case "Name":
			p.Name = value
		case "PPid":
			p.Parent, _ = strconv.Atoi(value)
		case "Uid":
			p.UIDs = strings.Fields(value)
		case "Gid":
			p.GIDs = strings.Fields(value)
		case "CapEff":
			p.Capabilities = value
		}
	}
	return p, nil
}

// read looks at one process. What may not be seen stays empty.
func read(pid int) (*Process, error) {
	p, err := status(pid)
	if err != nil {
		return nil, err
	}
	dir := fmt.Sprintf("/proc/%d/", pid)
	p.Exe, _ = os.Readlink(dir + "exe")
	p.Dir, _ = os.Readlink(dir + "cwd")
	p.Root, _ = os.Readlink(dir + "root")
	p.CommandLine = list(dir+"cmdline", func(s string) string { return s })
	p.Environment = list(dir+"environ", func(s string) string { name, _, _ := strings.Cut(s, "="); return name })
	fds, _ := os.ReadDir(dir + "fd")
	for _, fd := range fds {
		if on, err := os.Readlink(dir + "fd/" + fd.Name()); err == nil {
			p.Open = append(p.Open, Open{fd.Name(), on})
		}
	}
	return p, nil
}

// list reads texts that zero bytes end.
func list(name string, of func(string) string) (out []string) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxFile))
	if len(data) == 0 {
		return nil // a kernel thread, or one that is ending
	}
	for s := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		out = append(out, of(s))
	}
	return out
}

// family is a process of the host, what descends from it, and its parents.
func family(s *seawall.Subject) (out []int, err error) {
	started, err := process.Started(s.PID)
	if err != nil || s.Start != 0 && started/1e7 != s.Start/1e7 {
		return nil, fmt.Errorf("process %d: %w", s.PID, enforce.ErrGone)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parent, children := map[int]int{}, map[int][]int{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, err := status(pid); err == nil {
				parent[pid] = p.Parent
				children[p.Parent] = append(children[p.Parent], pid)
			}
		}
	}
	out = []int{s.PID}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	for pid := parent[s.PID]; pid > 0 && len(out) < 2*maxProcesses; pid = parent[pid] {
		out = append(out, pid)
	}
	return out, nil
}
