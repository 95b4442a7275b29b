// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What goes through the ring buffer: a header and records behind it, all
// little-endian, aligned to 8 bytes. The reader is internal/sensor/trace/wire.go.
#pragma once

#include <linux/types.h>

struct header {
	__u32 size;
	__u16 type;
	__u16 flags;
	__u16 cpu;
	__u16 exe; // EXE_*
	__u32 rule;
	__u64 time;
	__s64 ret;
	__u64 args[6];
	__u64 start, parent_start, cgroup;
	__u64 cap_permitted, cap_effective, cap_inheritable;
	__u32 pid, tid, ppid, vpid, vtid, vppid, pgid, sid, vpgid, vsid;
	__u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid, loginuid, session;
	__u32 mnt_ns, pid_ns, net_ns, user_ns;
	__u32 tty, reserved;
	char comm[16];
};

struct record {
	__u16 kind;
	__u16 len;
	__u32 reserved;
};

enum record_kind {
	REC_PATH = 1,
	REC_PATH2,
	REC_DIR,
	REC_DIR2,
	REC_FSTYPE,
	REC_FILE,
	REC_FILE_PATH,
	REC_SOCKET,
	REC_SOCKET_PATH,
	REC_SOCKADDR,
	REC_ARGS,
	REC_ENV,
	REC_CWD,
	REC_INTERP,
	REC_STDIO,
	REC_CHILD,
	REC_PAYLOAD,
};

enum event_flag {
	FLAG_KILLED = 1,
	FLAG_COMPAT = 2,
	FLAG_ARGS_CUT = 4,
	FLAG_ENV_CUT = 8,
	FLAG_PATH_CUT = 16,
	FLAG_UNREADABLE = 32,
};

enum exe_flag {
	EXE_UPPER = 1,
	EXE_MEMFD = 2,
};

enum file_flag {
	FILE_UPPER = 1,
	FILE_LOWER = 2,
	FILE_MEMFD = 4,
	FILE_DELETED = 8,
};

struct file_record {
	__u64 inode, ctime, mtime, magic;
	__u32 dev, mode, uid, gid, nlink, open_flags;
	__u32 flags; // FILE_*
	__u32 reserved;
};

struct socket_record {
	__u16 family, type, protocol;
	__u8 state, reserved;
	__u16 local_port, remote_port; // host order
	__u32 reserved2;
	__u8 local[16], remote[16];
};

struct stdio_record {
	__u64 inode;
	__u32 dev, mode;
	__u64 magic;
	__u16 family, reserved[3];
};

struct child_record {
	__u64 start, cgroup;
	__u32 pid, vpid, pid_ns, reserved;
	__u64 clone_flags;
};
