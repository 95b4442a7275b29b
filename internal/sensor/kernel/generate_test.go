package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/trace"
	"github.com/seawall-security/seawall/internal/testenv"
)

// compiler made the committed objects: Debian 12's. Another version's code differs.
const compiler = "clang version 14.0.6"

func TestGeneratedIsFresh(t *testing.T) {
	clang, _ := testenv.Tool(t, "clang"), testenv.Tool(t, "llvm-strip")
	version, err := exec.Command(clang, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(version), compiler) {
		t.Skipf("the objects are made by %s, here is %s", compiler, version)
	}
	source, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^//go:generate go (.*)$`).FindSubmatch(source)
	if command == nil {
		t.Fatal("no go:generate line")
	}
	dir := t.TempDir()
	args := strings.Fields(string(command[1]))
	args = append(args[:2:2], append([]string{"-output-dir", dir}, args[2:]...)...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOPACKAGE=kernel")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(made) != 4 {
		t.Fatalf("made %v, %v", made, err)
	}
	for _, path := range made {
		fresh, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fresh, committed) {
			t.Errorf("%s is not what bpf/ compiles to: go generate ./internal/sensor/kernel", filepath.Base(path))
		}
	}
}

// The offsets are proved by the events that the other tests decode.
func TestWireFormatIsTheSameOnBothSides(t *testing.T) {
	kinds := map[sensorRecordKind]trace.RecordKind{
		sensorRecordKindREC_PATH: trace.RecordPath, sensorRecordKindREC_PATH2: trace.RecordPath2, sensorRecordKindREC_DIR: trace.RecordDir, sensorRecordKindREC_DIR2: trace.RecordDir2,
		sensorRecordKindREC_FSTYPE: trace.RecordFSType, sensorRecordKindREC_FILE: trace.RecordFile, sensorRecordKindREC_FILE_PATH: trace.RecordFilePath,
		sensorRecordKindREC_SOCKET: trace.RecordSocket, sensorRecordKindREC_SOCKET_PATH: trace.RecordSocketPath, sensorRecordKindREC_SOCKADDR: trace.RecordSockaddr,
		sensorRecordKindREC_ARGS: trace.RecordArgs, sensorRecordKindREC_ENV: trace.RecordEnv, sensorRecordKindREC_CWD: trace.RecordCWD, sensorRecordKindREC_INTERP: trace.RecordInterp,
		sensorRecordKindREC_STDIO: trace.RecordStdio, sensorRecordKindREC_CHILD: trace.RecordChild, sensorRecordKindREC_PAYLOAD: trace.RecordPayload,
	}
	if len(kinds) != int(trace.RecordPayload) {
		t.Errorf("%d kinds of records are compared, there are %d", len(kinds), trace.RecordPayload)
	}
	for theirs, ours := range kinds {
		if uint16(theirs) != uint16(ours) {
			t.Errorf("record %d of the programs is %d here", theirs, ours)
		}
	}
	flags := map[sensorEventFlag]trace.Flags{
		sensorEventFlagFLAG_KILLED: trace.FlagKilled, sensorEventFlagFLAG_COMPAT: trace.FlagCompat, sensorEventFlagFLAG_ARGS_CUT: trace.FlagArgsCut,
		sensorEventFlagFLAG_ENV_CUT: trace.FlagEnvCut, sensorEventFlagFLAG_PATH_CUT: trace.FlagPathCut, sensorEventFlagFLAG_UNREADABLE: trace.FlagUnreadable,
	}
	for theirs, ours := range flags {
		if uint16(theirs) != uint16(ours) {
			t.Errorf("flag %d of the programs is %d here", theirs, ours)
		}
	}
}

// Every type is a system call of this architecture's table or a tracepoint's own.
func TestEveryTypeIsWatched(t *testing.T) {
	described := describe()
	for _, typ := range trace.Types() {
		if _, ok := described[typ]; ok == ownTracepoint(typ) {
			t.Errorf("%v: described %v, told by a tracepoint %v", typ, ok, ownTracepoint(typ))
		}
	}
	for name, numbers := range map[string][]number{"native": nativeNumbers(), "compat": compatNumbers(), "multiplexed": multiplexNumbers()} {
		seen := map[uint32]trace.Type{}
		for _, n := range numbers {
			if was, twice := seen[n.nr]; twice || n.nr >= callsNative {
				t.Errorf("%s number %d: %v and %v", name, n.nr, was, n.typ)
			}
			seen[n.nr] = n.typ
			if _, ok := described[n.typ]; !ok {
				t.Errorf("%s number %d: %v is not described", name, n.nr, n.typ)
			}
		}
	}
}

func TestPathKeys(t *testing.T) {
	prefixes, _ := pathKeys(seawall.EventFilter{Reads: &seawall.PathFilter{Prefixes: []string{"/etc/"}}, Writes: &seawall.PathFilter{Prefixes: []string{"/etc/shadow", "/var"}}})
	got := map[string]uint32{}
	for k, use := range prefixes {
		got[string(k.Text[:k.Bits/8])] = use
	}
	// The longest key that matches must say what the shorter one says.
	if diff := cmp.Diff(map[string]uint32{"/etc/": 1, "/etc/shadow": 3, "/var": 2}, got); diff != "" {
		t.Error(diff)
	}
	long := strings.Repeat("x", 200)
	if k := prefixKey(long); k.Bits != 8*128 {
		t.Errorf("a long prefix has %d bits", k.Bits)
	}
	if k := suffixKey("start" + long + ".jar"); k.Bits != 8*64 || string(k.Text[:5]) != "raj.x" {
		t.Errorf("a long suffix is %d bits of %q", k.Bits, k.Text)
	}
}

// ownTracepoint reports the types that no system call's exit tells.
func ownTracepoint(t trace.Type) bool {
	switch t {
	case trace.Exit, trace.CgroupMkdir, trace.CgroupRmdir, trace.IOUringOp:
		return true
	}
	return false
}
