// Package kernel sees what happens on a machine through BPF programs on the
// kernel's tracepoints: every start and end of a process and the system calls that
// its filter asks for, as trace.Events, in every container and on the host.
//
// Data flow: New loads the programs (bpf/sensor.bpf.c, compiled for every kernel
// with BTF); Run attaches them, SetFilter fills the tables by which they decide
// what is worth copying; what passes comes through one ring buffer, is decoded
// into one reused trace.Event and handed to emit. What does not pass is counted in
// the kernel by type: Counters. Deny adds to the tables by which a program's start
// is refused: the process is ended before its first instruction.
//
// Nothing is pinned: when the process that loaded the programs ends, however it
// ends, they are gone. Probe reports what a kernel supports.
package kernel
