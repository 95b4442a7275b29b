// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// One program sits at the exit of every system call. It looks the number up in a
// table that user space fills: most calls end there. The others go by tail call to
// the handler of their kind, which decides whether a rule can be interested, and
// if so writes a header and records into the scratch memory of its CPU and copies
// them into the ring buffer. Arguments are read when the call returns: memory is
// then present, and what a descriptor refers to is what the kernel used.
//
// Tracepoints run with preemption disabled: a scratch is used by one program at a time.

#include "kernel.h"
#include "wire.h"

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define OUT_MAX 0x3fff   // where the last record may begin
#define TEXT_MAX 4096    // of one text, its zero included
#define NAME_MAX 255
#define DEPTH_MAX 64     // path elements and mount points
#define PREFIX_MAX 128   // of a path, compared with a filter
#define SUFFIX_MAX 64
#define SYSCALLS_MAX 512 // numbers in one table
#define SOCKETCALL 102   // of 32-bit x86: the first argument says which call, the second where its arguments are
#define SOCKETCALLS 32
#define OLD_MMAP 90      // of 32-bit x86: the first argument says where the others are
#define X32_CALL 0x40000000
#define TYPES_MAX 256
#define PAYLOAD_MAX 512
#define SOCKADDR_MAX 128

#define AT_FDCWD -100
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 0170000
#define S_IFCHR 0020000
#define O_ACCMODE 3
#define O_CREAT 0100
#define O_TRUNC 01000
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define PF_KTHREAD 0x00200000
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define SB_KERNMOUNT (1 << 22)
#define MEMFD_NAME 0x3a64666d656d // "memfd:", little-endian
#define OVERLAYFS_MAGIC 0x794c7630
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534f434b
#define PORT_DNS 53
#define SIGKILL 9
#define PIDTYPE_TGID 1
#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3

// How a call is handled. 0 is: not wanted, counted as filtered.
enum kind {
	KIND_NONE,
	KIND_PLAIN,
	KIND_PATHS,
	KIND_OPEN,
	KIND_FD,
	KIND_DNS,
	KIND_MAP,
	KIND_DUP,
	KIND_MAX,
};

// Where a call's arguments are: an index, or one of these.
enum place {
	ARG_RET = 0xfd, // descriptor: what the call returned
	ARG_CWD = 0xfe, // directory: the working directory
	ARG_NONE = 0xff,
};

enum call_flag {
	CALL_SUCCESS = 1, // only where it succeeded
	CALL_TREE = 2,     // told by the tracepoints of processes
	CALL_STRUCT = 4,   // the argument is a pointer to a struct msghdr, a struct open_how
	CALL_RECEIVE = 8, // returns the length of what its buffer holds
	CALL_ANY_FD = 16, // of descriptors that are most often no resolver's
};

// A system call: what it is called, how it is handled, where its arguments are.
struct call {
	__u16 type;
	__u8 kind, flags;
	__u8 path, dir, path2, dir2; // of ARG_NONE: no such argument
	__u8 text;                   // a third text: mount's type
	__u8 fd, address;
	__u8 choice; // open: the flags; fcntl: the command
};

struct settings {
	__u32 own; // thread group that is not watched: the agent
	__u32 all_reads, all_writes, maps, environment;
	__u32 ring; // operations of io_uring are wanted
	__u64 rate, burst; // events in a second, for each CPU, cgroup and type; 0 is no limit
};

struct counters {
	__u64 emitted, filtered, limited, lost;
};

struct limit_key {
	__u64 cgroup;
	__u64 type;
};

struct limit {
	__u64 time, tokens; // tokens in 1/1024
};

struct seen_key {
	__u64 cgroup, inode;
	__u64 dev;
};

// What is denied to a cgroup at exec.
enum deny_kind {
	DENY_UPPER = 1,
	DENY_MEMFD = 2,
	DENY_UID = 4,
	DENY_INODE = 8,
};

struct deny_key {
	__u64 cgroup, inode;
	__u32 kind, dev_or_uid;
};

struct prefix_key {
	__u32 bits;
	__u8 text[PREFIX_MAX];
};

struct suffix_key {
	__u32 bits;
	__u8 text[SUFFIX_MAX];
};

enum path_use {
	USE_READ = 1,
	USE_WRITE = 2,
};

struct scratch {
	__u32 off; // end of what is in out
	__u32 pos; // where the text in path begins; it ends at TEXT_MAX
	__u32 flags;
	__u32 reserved;
	struct call call;
	__u32 reserved2;
	__u64 args[8];
	struct prefix_key prefix;
	struct suffix_key suffix;
	__u8 path[TEXT_MAX + NAME_MAX + 1];
	__u8 out[OUT_MAX + 1 + TEXT_MAX + 64];
};

// Kept in the BTF, from which the Go types and constants are made.
const struct {
	struct header header;
	struct file_record file;
	struct socket_record socket;
	struct stdio_record stdio;
	struct child_record child;
	enum record_kind record_kind;
	enum event_flag event_flag;
	enum file_flag file_flag;
	enum exe_flag exe_flag;
	enum kind kind;
	enum place place;
	enum call_flag call_flag;
	enum path_use path_use;
	enum deny_kind deny_kind;
} exported __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); // possible CPUs
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * SYSCALLS_MAX + SOCKETCALLS); // native, 32-bit, 32-bit socketcall
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, KIND_MAX);
	__type(key, __u32);
	__type(value, __u32);
} handlers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TYPES_MAX);
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct limit_key);
	__type(value, struct limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct seen_key);
	__type(value, __u8);
} mapped SEC(".maps");

// Descriptors that were connected to port 53: process << 32 | descriptor.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct prefix_key);
	__type(value, __u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct suffix_key);
	__type(value, __u32);
} suffixes SEC(".maps");

// The cgroups that something is denied to, and the kinds.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} guarded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct deny_key);
	__type(value, __u32); // the rule
} denied SEC(".maps");

// The types user space numbers by name; these the programs must know themselves.
volatile const __u16 type_execve, type_execveat, type_exit, type_clone, type_clone3, type_connect, type_cgroup_mkdir, type_cgroup_rmdir, type_io_uring_op;

// The reader sets it before it sleeps until it is woken; who finds it set wakes it.
// A reader that is awake looks for itself, often enough: a wake-up costs more than an event.
volatile __u32 sleeping;

static __always_inline struct scratch *get_scratch(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratches, &cpu);
}

static __always_inline struct settings *get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline struct header *header_of(struct scratch *s)
{
	return (struct header *)s->out;
}

static __always_inline struct counters *counters_of(__u32 type)
{
	type &= TYPES_MAX - 1;
	return bpf_map_lookup_elem(&counts, &type);
}

static __always_inline int count_filtered(__u32 type)
{
	struct counters *c = counters_of(type);

	if (c)
		c->filtered++;
	return 0;
}

// within_rate takes a token of this cgroup's and type's; of each CPU its own.
static __always_inline int within_rate(struct settings *set, __u64 cgroup, __u32 type)
{
	struct limit_key key = {.cgroup = cgroup, .type = type};
	__u64 now = bpf_ktime_get_ns(), full = set->burst << 10, filled, more;
	struct limit *l;

	if (!set->rate)
		return 1;
	l = bpf_map_lookup_elem(&limits, &key);
	if (!l) {
		struct limit fresh = {.time = now, .tokens = full - (1 << 10)};

		bpf_map_update_elem(&limits, &key, &fresh, BPF_ANY);
		return 1;
	}
	// Microseconds times events a second, in 1/1024: no overflow below a day.
	more = (((now - l->time) >> 10) * set->rate) / 954;
	if (more)
		l->time = now;
	filled = l->tokens + more;
	if (filled > full)
		filled = full;
	if (filled < (1 << 10)) {
		l->tokens = filled;
		return 0;
	}
	l->tokens = filled - (1 << 10);
	return 1;
}

// Records. ---------------------------------------------------------------------

// put_record opens a record for len bytes and returns where they go, or 0.
static __always_inline void *put_record(struct scratch *s, __u16 kind, __u16 len)
{
	__u32 off = s->off;
	struct record *r;

	if (off > OUT_MAX)
		return 0;
	r = (struct record *)&s->out[off];
	r->kind = kind;
	r->len = len;
	r->reserved = 0;
	s->off = (off + sizeof(*r) + len + 7) & ~7;
	return r + 1;
}

// put_user_text copies a text of the program's; what the call claimed. Its length, or negative.
static __always_inline long put_user_text(struct scratch *s, __u16 kind, const void *text)
{
	__u32 off = s->off;
	struct record *r;
	long n;

	if (off > OUT_MAX || !text)
		return -1;
	r = (struct record *)&s->out[off];
	n = bpf_probe_read_user_str(r + 1, TEXT_MAX, text);
	if (n <= 0) {
		s->flags |= FLAG_UNREADABLE;
		return -1;
	}
	if (n == TEXT_MAX)
		s->flags |= FLAG_PATH_CUT;
	n--;
	r->kind = kind;
	r->len = n;
	r->reserved = 0;
	s->off = (off + sizeof(*r) + n + 7) & ~7;
	return n;
}

static __always_inline void put_kernel_text(struct scratch *s, __u16 kind, const void *text)
{
	__u32 off = s->off;
	struct record *r;
	long n;

	if (off > OUT_MAX)
		return;
	r = (struct record *)&s->out[off];
	n = bpf_probe_read_kernel_str(r + 1, TEXT_MAX, text);
	if (n <= 0)
		return;
	n--;
	r->kind = kind;
	r->len = n;
	r->reserved = 0;
	s->off = (off + sizeof(*r) + n + 7) & ~7;
}

// put_user_bytes copies up to max (a power of two, less one) bytes.
static __always_inline void put_user_bytes(struct scratch *s, __u16 kind, const void *from, __u32 len, __u32 max)
{
	__u32 off = s->off;
	struct record *r;

	if (off > OUT_MAX)
		return;
	if (len > max)
		len = max;
	barrier_var(len); // else the mask, which the verifier needs, is optimised away
	len &= max;
	r = (struct record *)&s->out[off];
	if (bpf_probe_read_user(r + 1, len, from)) {
		s->flags |= FLAG_UNREADABLE;
		return;
	}
	r->kind = kind;
	r->len = len;
	r->reserved = 0;
	s->off = (off + sizeof(*r) + len + 7) & ~7;
}

// put_path copies what resolve found.
static __always_inline void put_path(struct scratch *s, __u16 kind)
{
	__u32 off = s->off, pos = s->pos & (TEXT_MAX - 1), len = (TEXT_MAX - pos) & (TEXT_MAX - 1);
	struct record *r;

	if (off > OUT_MAX)
		return;
	r = (struct record *)&s->out[off];
	if (bpf_probe_read_kernel(r + 1, len, &s->path[pos]))
		return;
	r->kind = kind;
	r->len = len;
	r->reserved = 0;
	s->off = (off + sizeof(*r) + len + 7) & ~7;
}

// Paths. -----------------------------------------------------------------------

// resolve writes the path of a dentry on a mount into the end of the scratch's
// path, as seen from the root of the thread; of a file outside of any tree
// (memfd, anonymous inode) its name.
__noinline int resolve(__u64 dentry_address, __u64 mnt_address)
{
	struct dentry *dentry = (void *)dentry_address, *parent, *mnt_root, *root_dentry;
	struct vfsmount *vfs = (void *)mnt_address, *root_mnt;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = get_scratch();
	struct mount *mnt, *up;
	const unsigned char *name;
	__u32 pos, len;

	if (!s)
		return 0;
	root_dentry = BPF_CORE_READ(task, fs, root.dentry);
	root_mnt = BPF_CORE_READ(task, fs, root.mnt);
	mnt = (void *)vfs - bpf_core_field_offset(struct mount, mnt);
	s->pos = TEXT_MAX;
	for (int i = 0; i < DEPTH_MAX; i++) {
		if (dentry == root_dentry && vfs == root_mnt)
			break;
		parent = BPF_CORE_READ(dentry, d_parent);
		mnt_root = BPF_CORE_READ(vfs, mnt_root);
		if (dentry == mnt_root) {
			up = BPF_CORE_READ(mnt, mnt_parent);
			if (up == mnt || !up)
				break;
			dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
			mnt = up;
			vfs = (void *)mnt + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		len = BPF_CORE_READ(dentry, d_name.len) & NAME_MAX;
		name = BPF_CORE_READ(dentry, d_name.name);
		// In memory, where the verifier does not follow it: it would look at every depth apart.
		pos = s->pos;
		if (dentry == parent) {
			pos = (pos - len) & (TEXT_MAX - 1);
			bpf_probe_read_kernel(&s->path[pos], len, name);
			s->pos = pos;
			break;
		}
		if (pos < len + 2) {
			s->flags |= FLAG_PATH_CUT;
			break;
		}
		pos = (pos - len - 1) & (TEXT_MAX - 1);
		s->path[pos] = '/';
		bpf_probe_read_kernel(&s->path[pos + 1], len, name);
		s->pos = pos;
		dentry = parent;
	}
	if (s->pos == TEXT_MAX || s->pos == 0) {
		s->pos = TEXT_MAX - 1;
		s->path[TEXT_MAX - 1] = '/';
	}
	return 0;
}

// path_wanted reports whether the filters for use (USE_*) take the text in path.
__noinline int path_wanted(__u32 use)
{
	struct scratch *s = get_scratch();
	__u32 pos, *found;

	if (!s)
		return 0;
	pos = s->pos & (TEXT_MAX - 1);
	bpf_probe_read_kernel(s->prefix.text, PREFIX_MAX, &s->path[pos]);
	s->prefix.bits = PREFIX_MAX * 8;
	found = bpf_map_lookup_elem(&prefixes, &s->prefix);
	if (found && *found & use)
		return 1;
	// No suffix matches beyond the zero; what lies before it is of another path.
	s->path[(pos - 1) & (TEXT_MAX - 1)] = 0;
	for (int i = 0; i < SUFFIX_MAX; i++)
		s->suffix.text[i] = s->path[TEXT_MAX - 1 - i];
	s->suffix.bits = SUFFIX_MAX * 8;
	found = bpf_map_lookup_elem(&suffixes, &s->suffix);
	return found && *found & use;
}

static __always_inline struct file *file_of(int fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *f = 0;

	if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&f, sizeof(f), &files[fd]);
	return f;
}

// put_dir names the directory a relative path begins at.
static __always_inline void put_dir(struct scratch *s, __u16 kind, __u8 place)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int fd = place == ARG_CWD ? AT_FDCWD : (int)s->args[place & 7];
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct file *f;

	if (fd == AT_FDCWD) {
		dentry = BPF_CORE_READ(task, fs, pwd.dentry);
		mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	} else {
		f = file_of(fd);
		if (!f)
			return;
		dentry = BPF_CORE_READ(f, f_path.dentry);
		mnt = BPF_CORE_READ(f, f_path.mnt);
	}
	resolve((__u64)dentry, (__u64)mnt);
	put_path(s, kind);
}

static __always_inline void put_claimed(struct scratch *s, __u16 kind, __u8 place, __u16 dir_kind, __u8 dir)
{
	__u32 off = s->off;

	if (place != ARG_NONE && !s->args[place & 7] && dir < 6) {
		put_dir(s, dir_kind, dir); // the file itself, by its descriptor
		return;
	}
	if (place == ARG_NONE || put_user_text(s, kind, (void *)s->args[place & 7]) < 0 || dir == ARG_NONE)
		return;
	if (off <= OUT_MAX && s->out[off + sizeof(struct record)] != '/')
		put_dir(s, dir_kind, dir);
}

// Files and sockets. -----------------------------------------------------------

static __always_inline void inode_times(struct inode *inode, struct file_record *r)
{
	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		// The highest bit is a mark of the kernel's own.
		r->ctime = BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ull + (BPF_CORE_READ(inode, i_ctime_nsec) & 0x3fffffff);
		r->mtime = BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ull + BPF_CORE_READ(inode, i_mtime_nsec);
		return;
	}
	struct inode___two *two = (void *)inode;
	if (bpf_core_field_exists(two->__i_ctime)) {
		r->ctime = BPF_CORE_READ(two, __i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(two, __i_ctime.tv_nsec);
		r->mtime = BPF_CORE_READ(two, i_mtime.tv_sec) * 1000000000ull + BPF_CORE_READ(two, i_mtime.tv_nsec);
		return;
	}
	struct inode___one *one = (void *)inode;
	r->ctime = BPF_CORE_READ(one, i_ctime.tv_sec) * 1000000000ull + BPF_CORE_READ(one, i_ctime.tv_nsec);
	r->mtime = BPF_CORE_READ(one, i_mtime.tv_sec) * 1000000000ull + BPF_CORE_READ(one, i_mtime.tv_nsec);
}

// file_flags are FILE_*. An overlay's inode has the upper layer's dentry right behind it (struct ovl_inode).
static __always_inline __u32 file_flags(struct inode *inode, struct super_block *sb, struct dentry *dentry)
{
	const unsigned char *name;
	__u32 flags = 0;
	void *upper = 0;
	__u64 start = 0;

	if (BPF_CORE_READ(sb, s_magic) == OVERLAYFS_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		flags |= upper ? FILE_UPPER : FILE_LOWER;
	}
	if (BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT) {
		name = BPF_CORE_READ(dentry, d_name.name);
		bpf_probe_read_kernel(&start, 6, name);
		if (start == MEMFD_NAME)
			flags |= FILE_MEMFD;
	}
	if (!BPF_CORE_READ(inode, i_nlink) || !BPF_CORE_READ(dentry, d_hash.pprev))
		flags |= FILE_DELETED;
	return flags;
}

static __always_inline struct sock *sock_of(struct file *f)
{
	struct socket *socket = BPF_CORE_READ(f, private_data);

	return BPF_CORE_READ(socket, sk);
}

static __always_inline void put_socket(struct scratch *s, struct file *f)
{
	struct sock *sk = sock_of(f);
	struct socket_record *r;
	struct unix_address *address;
	struct unix_sock *peer;
	__u16 family;
	__u32 off, len;

	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	r = put_record(s, REC_SOCKET, sizeof(*r));
	if (!r)
		return;
	__builtin_memset(r, 0, sizeof(*r));
	r->family = family;
	r->type = BPF_CORE_READ(sk, sk_type);
	r->protocol = BPF_CORE_READ(sk, sk_protocol);
	r->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (family == AF_INET || family == AF_INET6) {
		r->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		r->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
	if (family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)r->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)r->remote, sk, __sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO((struct ipv6_address *)r->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct ipv6_address *)r->remote, sk, __sk_common.skc_v6_daddr);
	} else if (family == AF_UNIX) {
		address = BPF_CORE_READ((struct unix_sock *)sk, addr);
		if (!address) {
			peer = (void *)BPF_CORE_READ((struct unix_sock *)sk, peer);
			if (peer)
				address = BPF_CORE_READ(peer, addr);
		}
		off = s->off;
		if (!address || off > OUT_MAX)
			return;
		len = BPF_CORE_READ(address, len);
		if (len <= 2)
			return;
		len = (len - 2) & (SOCKADDR_MAX - 1);
		// Behind the family.
		if (bpf_probe_read_kernel(&s->out[off + sizeof(struct record)], len, (void *)address + bpf_core_field_offset(struct unix_address, name) + 2))
			return;
		put_record(s, REC_SOCKET_PATH, len);
	}
}

// put_file describes what a descriptor refers to.
__noinline int put_file(__u64 address)
{
	struct file *f = (void *)address;
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct dentry *dentry = BPF_CORE_READ(f, f_path.dentry);
	struct scratch *s = get_scratch();
	struct file_record *r;
	__u64 magic;

	if (!s)
		return 0;
	r = put_record(s, REC_FILE, sizeof(*r));
	if (!r)
		return 0;
	magic = BPF_CORE_READ(sb, s_magic);
	r->inode = BPF_CORE_READ(inode, i_ino);
	r->magic = magic;
	r->dev = BPF_CORE_READ(sb, s_dev);
	r->mode = BPF_CORE_READ(inode, i_mode);
	r->uid = BPF_CORE_READ(inode, i_uid.val);
	r->gid = BPF_CORE_READ(inode, i_gid.val);
	r->nlink = BPF_CORE_READ(inode, i_nlink);
	r->open_flags = BPF_CORE_READ(f, f_flags);
	r->flags = file_flags(inode, sb, dentry);
	r->reserved = 0;
	inode_times(inode, r);
	if (magic == SOCKFS_MAGIC) {
		put_socket(s, f);
		return 0;
	}
	if (magic == PIPEFS_MAGIC)
		return 0;
	resolve((__u64)dentry, (__u64)BPF_CORE_READ(f, f_path.mnt));
	put_path(s, REC_FILE_PATH);
	return 0;
}

// The thread. ------------------------------------------------------------------

// The thread is read through pointers that the verifier knows, which costs a load
// each; what it cannot follow is copied.

// upid_at is what a pid is in the namespace of that depth.
static __always_inline struct upid upid_at(struct pid *pid, __u32 level)
{
	struct upid u = {};

	bpf_probe_read_kernel(&u, sizeof(u), (void *)pid + bpf_core_field_offset(struct pid, numbers) + (level & 31) * sizeof(u));
	return u;
}

// number_at is a pid's number in the namespace of that depth; 0 where it has none.
static __always_inline __u32 number_at(struct pid *pid, __u32 level)
{
	if (!level)
		return pid->numbers[0].nr;
	return pid->level < level ? 0 : upid_at(pid, level).nr;
}

static __always_inline __u32 tty_of(struct signal_struct *signal)
{
	struct tty_struct *tty = signal->tty;
	__u32 major, minor;

	if (!tty)
		return 0;
	major = tty->driver->major;
	minor = tty->driver->minor_start + tty->index;
	return (minor & 0xff) | major << 8 | (minor & ~0xff) << 12;
}

static __always_inline void put_namespaces(struct header *h, struct task_struct *task, struct pid *pid, __u32 level)
{
	h->mnt_ns = task->nsproxy->mnt_ns->ns.inum;
	h->net_ns = task->nsproxy->net_ns->ns.inum;
	h->user_ns = task->cred->user_ns->ns.inum;
	h->pid_ns = BPF_CORE_READ(upid_at(pid, level).ns, ns.inum);
}

static __always_inline void put_ids(struct header *h, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct pid *pid = task->thread_pid;
	struct task_struct *parent = task->real_parent;
	struct pid *group = signal->pids[PIDTYPE_PGID], *session = signal->pids[PIDTYPE_SID];
	__u32 level = pid->level;

	h->pid = task->tgid;
	h->tid = task->pid;
	h->ppid = parent->tgid;
	h->start = task->group_leader->start_boottime;
	h->parent_start = parent->group_leader->start_boottime;
	h->pgid = number_at(group, 0);
	h->sid = number_at(session, 0);
	if (!level) {
		h->vpid = h->pid;
		h->vtid = h->tid;
		h->vppid = h->ppid;
		h->vpgid = h->pgid;
		h->vsid = h->sid;
	} else {
		h->vpid = number_at(signal->pids[PIDTYPE_TGID], level);
		h->vtid = number_at(pid, level);
		h->vppid = number_at(parent->group_leader->thread_pid, level);
		h->vpgid = number_at(group, level);
		h->vsid = number_at(session, level);
	}
	put_namespaces(h, task, pid, level);
	h->tty = tty_of(signal);
}

static __always_inline void put_credentials(struct header *h, struct task_struct *task)
{
	const struct cred *cred = task->cred;

	h->uid = cred->uid.val;
	h->euid = cred->euid.val;
	h->suid = cred->suid.val;
	h->fsuid = cred->fsuid.val;
	h->gid = cred->gid.val;
	h->egid = cred->egid.val;
	h->sgid = cred->sgid.val;
	h->fsgid = cred->fsgid.val;
	// 64 bits in every version: one member or an array of two.
	bpf_probe_read_kernel(&h->cap_permitted, 8, &cred->cap_permitted);
	bpf_probe_read_kernel(&h->cap_effective, 8, &cred->cap_effective);
	bpf_probe_read_kernel(&h->cap_inheritable, 8, &cred->cap_inheritable);
	h->loginuid = -1;
	h->session = -1;
	if (bpf_core_field_exists(task->loginuid)) {
		h->loginuid = task->loginuid.val;
		h->session = task->sessionid;
	}
}

static __always_inline __u16 exe_flags(struct task_struct *task)
{
	struct file *f = task->mm->exe_file;
	struct inode *inode = f->f_inode;
	struct super_block *sb = inode->i_sb;
	void *upper = 0;
	__u64 start = 0;
	__u16 flags = 0;

	if (sb->s_magic == OVERLAYFS_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		flags |= upper ? EXE_UPPER : 0;
	}
	if (sb->s_flags & SB_KERNMOUNT) {
		bpf_probe_read_kernel(&start, 6, f->f_path.dentry->d_name.name);
		flags |= start == MEMFD_NAME ? EXE_MEMFD : 0;
	}
	return flags;
}

// begin clears the scratch for an event; the header is filled when it is sent.
static __always_inline void begin(struct scratch *s, __u32 flags)
{
	s->off = sizeof(struct header);
	s->flags = flags;
}

__noinline int put_task(__u64 cgroup)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *s = get_scratch();
	struct header *h;

	if (!s)
		return 0;
	h = header_of(s);
	h->cpu = bpf_get_smp_processor_id();
	h->time = bpf_ktime_get_boot_ns();
	h->cgroup = cgroup;
	h->reserved = 0;
	put_ids(h, task);
	put_credentials(h, task);
	h->exe = exe_flags(task);
	bpf_probe_read_kernel(h->comm, sizeof(h->comm), task->comm);
	return 0;
}

// send fills the header and hands the event over.
static __always_inline int send(struct scratch *s, __u32 type, __s64 ret, __u32 rule, int limited)
{
	struct settings *set = get_settings();
	struct counters *c = counters_of(type);
	struct header *h = header_of(s);
	__u64 cgroup = bpf_get_current_cgroup_id(), wake;
	__u32 size = s->off;

	if (!set || !c || size > sizeof(s->out))
		return 0;
	if (limited && !within_rate(set, cgroup, type)) {
		c->limited++;
		return 0;
	}
	put_task(cgroup);
	h->size = size;
	h->type = type;
	h->flags = s->flags;
	h->rule = rule;
	h->ret = ret;
	for (int i = 0; i < 6; i++)
		h->args[i] = s->args[i];
	wake = BPF_RB_NO_WAKEUP;
	if (sleeping) {
		sleeping = 0;
		wake = BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_output(&events, s->out, size, wake))
		c->lost++;
	else
		c->emitted++;
	return 0;
}

static __always_inline int send_call(struct scratch *s, __s64 ret)
{
	return send(s, s->call.type, ret, 0, 1);
}

// System calls. ----------------------------------------------------------------

#if defined(__TARGET_ARCH_x86)
static __always_inline __u32 call_number(struct pt_regs *regs)
{
	return regs->orig_ax & ~X32_CALL;
}

// A 32-bit call of any process: TS_COMPAT.
static __always_inline int is_compat(struct task_struct *task)
{
	return task->thread_info.status & 2;
}

// compat_number is where the calls' table has a 32-bit call.
static __always_inline __u32 compat_number(__u32 number, struct pt_regs *regs)
{
	if (number == SOCKETCALL)
		return 2 * SYSCALLS_MAX + (regs->bx & (SOCKETCALLS - 1));
	return SYSCALLS_MAX + number;
}

static __always_inline void get_args(__u64 *args, struct pt_regs *regs, int compat)
{
	if (compat && (regs->orig_ax == SOCKETCALL || regs->orig_ax == OLD_MMAP)) {
		__u32 at = regs->orig_ax == SOCKETCALL ? regs->cx : regs->bx;

		// One by one: behind those that the call has there may be no memory.
		for (int i = 0; i < 6; i++) {
			__u32 given = 0;

			bpf_probe_read_user(&given, sizeof(given), (void *)(__u64)(at + 4 * i));
			args[i] = given;
		}
		return;
	}
	if (compat) {
		args[0] = (__u32)regs->bx;
		args[1] = (__u32)regs->cx;
		args[2] = (__u32)regs->dx;
		args[3] = (__u32)regs->si;
		args[4] = (__u32)regs->di;
		args[5] = (__u32)regs->bp;
		return;
	}
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline __u32 call_number(struct pt_regs *regs)
{
	return regs->syscallno;
}

// TIF_32BIT
static __always_inline int is_compat(struct task_struct *task)
{
	return !!(task->thread_info.flags & (1 << 22));
}

static __always_inline __u32 compat_number(__u32 number, struct pt_regs *regs)
{
	return SYSCALLS_MAX + number;
}

static __always_inline void get_args(__u64 *args, struct pt_regs *regs, int compat)
{
	args[0] = regs->orig_x0;
	for (int i = 1; i < 6; i++)
		args[i] = regs->regs[i];
}
#endif

static __always_inline __u64 resolver_key(__u64 fd)
{
	return bpf_get_current_pid_tgid() >> 32 << 32 | (__u32)fd;
}

static __always_inline int is_resolver(__u64 fd)
{
	__u64 key = resolver_key(fd);

	return !!bpf_map_lookup_elem(&resolvers, &key);
}

// note_resolver remembers a socket that is being connected to port 53.
static __always_inline void note_resolver(struct scratch *s)
{
	__u64 key = resolver_key(s->args[0]);
	__u16 address[2] = {};
	__u8 yes = 1;

	bpf_probe_read_user(address, sizeof(address), (void *)s->args[1]);
	if ((address[0] == AF_INET || address[0] == AF_INET6) && __builtin_bswap16(address[1]) == PORT_DNS)
		bpf_map_update_elem(&resolvers, &key, &yes, BPF_ANY);
}

// no_resolver forgets a descriptor that is something else by now.
static __always_inline int no_resolver(struct scratch *s)
{
	__u64 key = resolver_key(s->args[0]);

	if (!(s->call.flags & CALL_ANY_FD))
		return count_filtered(s->call.type);
	bpf_map_delete_elem(&resolvers, &key);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 number = call_number(regs);
	int compat = is_compat(task);
	struct settings *set;
	struct scratch *s;
	struct call *c;

	if (number >= SYSCALLS_MAX)
		return 0;
	if (compat)
		number = compat_number(number, regs);
	c = bpf_map_lookup_elem(&calls, &number);
	if (!c || !c->type)
		return 0;
	if (!c->kind)
		return c->flags & CALL_TREE ? 0 : count_filtered(c->type);
	set = get_settings();
	if (!set || set->own == task->tgid)
		return 0;
	if (c->flags & CALL_SUCCESS && ret < 0)
		return count_filtered(c->type);
	s = get_scratch();
	if (!s)
		return 0;
	s->call = *c;
	get_args(s->args, regs, compat);
	if (c->flags & CALL_ANY_FD && !is_resolver(s->args[0]))
		return 0;
	begin(s, compat ? FLAG_COMPAT : 0);
	bpf_tail_call(ctx, &handlers, c->kind);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(handle_plain, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();

	return s ? send_call(s, ret) : 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(handle_paths, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();

	if (!s)
		return 0;
	put_claimed(s, REC_PATH, s->call.path, REC_DIR, s->call.dir);
	put_claimed(s, REC_PATH2, s->call.path2, REC_DIR2, s->call.dir2);
	put_claimed(s, REC_FSTYPE, s->call.text, 0, ARG_NONE);
	return send_call(s, ret);
}

// open_use tells what a descriptor was opened for.
static __always_inline __u32 open_use(__u32 flags)
{
	return flags & (O_ACCMODE | O_CREAT | O_TRUNC) ? USE_WRITE : USE_READ;
}

// open_flags_of finds the flags among the arguments: openat2 has them in a struct, creat none.
static __always_inline __u64 open_flags_of(struct scratch *s)
{
	__u64 flags = 0;

	if (s->call.choice == ARG_NONE)
		return O_CREAT | O_TRUNC | 1;
	flags = s->args[s->call.choice & 7];
	if (s->call.flags & CALL_STRUCT) {
		__u64 how[2] = {};

		if (bpf_probe_read_user(how, sizeof(how), (void *)flags))
			s->flags |= FLAG_UNREADABLE;
		flags = how[0];
		s->args[4] = how[0];
		s->args[5] = how[1];
	}
	return flags;
}

// is_sink: devices that every shell writes to and that keep nothing.
static __always_inline int is_sink(struct file *f)
{
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	__u32 device, major, minor;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFCHR)
		return 0;
	device = BPF_CORE_READ(inode, i_rdev);
	major = device >> 20;
	minor = device & 0xfffff;
	// null, zero, full, random, urandom; tty, ptmx; pts.
	return (major == 1 && minor < 10 && (1 << minor) & 0x3a8) || (major == 5 && (minor == 0 || minor == 2)) || (major >= 136 && major < 144);
}

// open_wanted asks the filters about the path as claimed, whose text is at off
// and n long, and about what it came to.
static __always_inline int open_wanted(struct scratch *s, __u32 use, __u32 off, long n, struct file *f)
{
	__u64 *claimed = (__u64 *)s->prefix.text, *resolved;
	__u32 at;
	int same = 1;

	if (n > 0 && off <= OUT_MAX) {
		n &= TEXT_MAX - 1;
		at = (TEXT_MAX - n) & (TEXT_MAX - 1);
		s->pos = at;
		bpf_probe_read_kernel(&s->path[at], n, &s->out[off + sizeof(struct record)]);
		if (path_wanted(use))
			return 1;
	}
	if (!f)
		return 0;
	resolve((__u64)BPF_CORE_READ(f, f_path.dentry), (__u64)BPF_CORE_READ(f, f_path.mnt));
	if (n > 0 && n < PREFIX_MAX) {
		// Most often the two are the same.
		resolved = (__u64 *)&s->path[s->pos & (TEXT_MAX - 1)];
		for (int i = 0; i < PREFIX_MAX / 8; i++)
			same &= claimed[i] == resolved[i];
		if (same)
			return 0;
	}
	return path_wanted(use);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(handle_open, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();
	struct settings *set = get_settings();
	struct file *f = 0;
	__u32 use, all, off;
	long n = 0;

	if (!s || !set)
		return 0;
	use = open_use(open_flags_of(s));
	// Without a path (open_by_handle_at) every one is wanted.
	all = s->call.path == ARG_NONE || (use == USE_READ ? set->all_reads : set->all_writes);
	if (ret >= 0) {
		f = file_of(ret);
		if (!f || (!all && is_sink(f)))
			return count_filtered(s->call.type);
	}
	off = s->off;
	if (s->call.path != ARG_NONE)
		n = put_user_text(s, REC_PATH, (void *)s->args[s->call.path & 7]);
	if (!all && !open_wanted(s, use, off, n, f))
		return count_filtered(s->call.type);
	if (n > 0 && off <= OUT_MAX && s->out[off + sizeof(struct record)] != '/' && s->call.dir != ARG_NONE)
		put_dir(s, REC_DIR, s->call.dir);
	if (f)
		put_file((__u64)f);
	return send_call(s, ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(handle_fd, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();
	struct file *f;

	if (!s)
		return 0;
	put_claimed(s, REC_PATH, s->call.path, REC_DIR, ARG_NONE);
	f = file_of(s->call.fd == ARG_RET ? ret : (int)s->args[s->call.fd & 7]);
	if (f)
		put_file((__u64)f);
	if (s->call.address != ARG_NONE) {
		__u32 at = s->call.address & 7;

		if (s->call.type == type_connect)
			note_resolver(s);
		put_user_bytes(s, REC_SOCKADDR, (void *)s->args[at], s->args[(at + 1) & 7], SOCKADDR_MAX - 1);
	}
	return send_call(s, ret);
}

// A struct msghdr of the program; of a 32-bit one the members are half as wide.
struct message {
	__u64 name;
	__u32 name_len, pad;
	__u64 iov, iov_len;
};

struct message32 {
	__u32 name, name_len, iov, iov_len;
};

static __always_inline void get_message(struct scratch *s, __u64 at, __u64 *name, __u64 *buffer, __u64 *len)
{
	if (s->flags & FLAG_COMPAT) {
		struct message32 m = {};
		__u32 v[2] = {};

		bpf_probe_read_user(&m, sizeof(m), (void *)at);
		bpf_probe_read_user(v, sizeof(v), (void *)(__u64)m.iov);
		*name = m.name;
		*buffer = v[0];
		*len = v[1];
		return;
	}
	struct message m = {};
	__u64 v[2] = {};

	bpf_probe_read_user(&m, sizeof(m), (void *)at);
	bpf_probe_read_user(v, sizeof(v), (void *)m.iov);
	*name = m.name;
	*buffer = v[0];
	*len = v[1];
}

// Datagrams to and from port 53, by the socket's peer or by the address given.
SEC("tp_btf/sys_exit")
int BPF_PROG(handle_dns, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();
	__u64 name = 0, buffer, len;
	struct file *f;
	struct sock *sk;
	__u16 family, port, claimed[2] = {};

	if (!s)
		return 0;
	f = file_of(s->args[0]);
	if (!f || BPF_CORE_READ(f, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return no_resolver(s);
	sk = sock_of(f);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return no_resolver(s);
	if (s->call.flags & CALL_STRUCT) {
		get_message(s, s->args[1], &name, &buffer, &len);
	} else {
		buffer = s->args[1];
		len = s->args[2];
		if (s->call.address != ARG_NONE)
			name = s->args[s->call.address & 7];
	}
	if (s->call.flags & CALL_RECEIVE && ret >= 0)
		len = ret;
	port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (port != PORT_DNS && name) {
		bpf_probe_read_user(claimed, sizeof(claimed), (void *)name);
		port = __builtin_bswap16(claimed[1]);
	}
	if (port != PORT_DNS)
		return no_resolver(s);
	put_file((__u64)f);
	if (name)
		put_user_bytes(s, REC_SOCKADDR, (void *)name, 28, SOCKADDR_MAX - 1);
	put_user_bytes(s, REC_PAYLOAD, (void *)buffer, len > PAYLOAD_MAX - 1 ? PAYLOAD_MAX - 1 : len, PAYLOAD_MAX - 1);
	return send_call(s, ret);
}

// mmap and mprotect: memory to write and execute; and, where wanted, files mapped
// executable, each once for a cgroup.
SEC("tp_btf/sys_exit")
int BPF_PROG(handle_map, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();
	struct settings *set = get_settings();
	__u32 prot, both = PROT_WRITE | PROT_EXEC;
	struct file *f = 0;

	if (!s || !set)
		return 0;
	prot = s->args[2];
	if (!(prot & PROT_EXEC))
		return count_filtered(s->call.type);
	if (s->call.fd != ARG_NONE && !(s->args[3] & MAP_ANONYMOUS))
		f = file_of(s->args[s->call.fd & 7]);
	if ((prot & both) != both) {
		struct seen_key key = {.cgroup = bpf_get_current_cgroup_id()};
		__u8 yes = 1;

		if (!f || !set->maps)
			return count_filtered(s->call.type);
		key.inode = BPF_CORE_READ(f, f_inode, i_ino);
		key.dev = BPF_CORE_READ(f, f_inode, i_sb, s_dev);
		if (bpf_map_update_elem(&mapped, &key, &yes, BPF_NOEXIST))
			return count_filtered(s->call.type);
	}
	if (f)
		put_file((__u64)f);
	return send_call(s, ret);
}

// A socket put onto a standard stream.
SEC("tp_btf/sys_exit")
int BPF_PROG(handle_dup, struct pt_regs *regs, long ret)
{
	struct scratch *s = get_scratch();
	struct file *f;

	if (!s)
		return 0;
	if (ret > 2)
		return count_filtered(s->call.type);
	if (s->call.choice != ARG_NONE) {
		__u64 command = s->args[s->call.choice & 7];

		if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
			return count_filtered(s->call.type);
	}
	f = file_of(ret);
	if (!f || BPF_CORE_READ(f, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return count_filtered(s->call.type);
	put_file((__u64)f);
	return send_call(s, ret);
}

// Processes. -------------------------------------------------------------------

// type_of_call is the type of the call the thread is in.
static __always_inline __u32 type_of_call(struct task_struct *task, struct pt_regs *regs, __u32 otherwise)
{
	__u32 number = call_number(regs);
	struct call *c;

	if (number >= SYSCALLS_MAX)
		return otherwise;
	if (is_compat(task))
		number += SYSCALLS_MAX;
	c = bpf_map_lookup_elem(&calls, &number);
	return c && c->type ? c->type : otherwise;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct settings *set = get_settings();
	struct scratch *s = get_scratch();
	struct child_record *r;
	struct pt_regs *regs;
	struct pid *pid;
	struct upid u;
	__u64 flags = 0;
	__u32 type;

	if (!s || !set || child->flags & PF_KTHREAD || parent->flags & PF_KTHREAD)
		return 0;
	if (child->tgid == parent->tgid)
		return 0; // a thread
	begin(s, is_compat(parent) ? FLAG_COMPAT : 0);
	regs = (struct pt_regs *)bpf_task_pt_regs(parent);
	type = type_of_call(parent, regs, type_clone);
	get_args(s->args, regs, is_compat(parent));
	flags = s->args[0];
	if (type == type_clone3)
		bpf_probe_read_user(&flags, sizeof(flags), (void *)s->args[0]);
	else if (type != type_clone)
		flags = 0;
	r = put_record(s, REC_CHILD, sizeof(*r));
	if (!r)
		return 0;
	pid = child->thread_pid;
	u = upid_at(pid, pid->level);
	r->start = child->start_boottime;
	r->cgroup = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
	r->pid = child->tgid;
	r->vpid = u.nr;
	r->pid_ns = BPF_CORE_READ(u.ns, ns.inum);
	r->reserved = 0;
	r->clone_flags = flags;
	return send(s, type, upid_at(pid, BPF_CORE_READ(parent, thread_pid, level)).nr, 0, 0);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct scratch *s = get_scratch();
	int code;

	if (!s || task->flags & PF_KTHREAD || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	begin(s, 0);
	__builtin_memset(s->args, 0, sizeof(s->args));
	code = BPF_CORE_READ(task, signal, group_exit_code);
	if (!code)
		code = task->exit_code;
	return send(s, type_exit, code & 0x7f ? -(code & 0x7f) : code >> 8 & 0xff, 0, 0);
}

// put_memory copies a part of the new program's memory.
static __always_inline void put_memory(struct scratch *s, __u16 kind, __u64 from, __u64 to, __u32 cut)
{
	__u64 len = to - from;

	if (to <= from)
		return;
	if (len > TEXT_MAX - 1) {
		len = TEXT_MAX - 1;
		s->flags |= cut;
	}
	put_user_bytes(s, kind, (void *)from, len, TEXT_MAX - 1);
}

static __always_inline void put_stdio(struct scratch *s)
{
	struct stdio_record *r = put_record(s, REC_STDIO, 3 * sizeof(*r));

	if (!r)
		return;
	for (int i = 0; i < 3; i++, r++) {
		struct file *f = file_of(i);
		struct inode *inode;

		__builtin_memset(r, 0, sizeof(*r));
		if (!f)
			continue;
		inode = BPF_CORE_READ(f, f_inode);
		r->inode = BPF_CORE_READ(inode, i_ino);
		r->dev = BPF_CORE_READ(inode, i_sb, s_dev);
		r->magic = BPF_CORE_READ(inode, i_sb, s_magic);
		r->mode = BPF_CORE_READ(inode, i_mode);
		if (r->magic == SOCKFS_MAGIC)
			r->family = BPF_CORE_READ(sock_of(f), __sk_common.skc_family);
	}
}

static __always_inline int denies(__u64 cgroup, __u32 kind, __u64 inode, __u32 dev_or_uid, __u32 *rule)
{
	struct deny_key key = {.cgroup = cgroup, .kind = kind, .inode = inode, .dev_or_uid = dev_or_uid};
	__u32 *found = bpf_map_lookup_elem(&denied, &key);

	if (!found)
		return 0;
	*rule = *found;
	return 1;
}

// is_denied asks what is denied to the thread's cgroup and to those it lies in.
static __always_inline int is_denied(struct inode *inode, __u32 flags, __u32 uid, __u32 *rule)
{
	__u64 ino = BPF_CORE_READ(inode, i_ino);
	__u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);

	for (int level = 1; level < 16; level++) {
		__u64 cgroup = bpf_get_current_ancestor_cgroup_id(level);
		__u32 *kinds;

		if (!cgroup)
			return 0;
		kinds = bpf_map_lookup_elem(&guarded, &cgroup);
		if (!kinds)
			continue;
		if (*kinds & DENY_UPPER && flags & FILE_UPPER && denies(cgroup, DENY_UPPER, 0, 0, rule))
			return 1;
		if (*kinds & DENY_MEMFD && flags & FILE_MEMFD && denies(cgroup, DENY_MEMFD, 0, 0, rule))
			return 1;
		if (*kinds & DENY_UID && denies(cgroup, DENY_UID, 0, uid, rule))
			return 1;
		if (*kinds & DENY_INODE && denies(cgroup, DENY_INODE, ino, dev, rule))
			return 1;
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct settings *set = get_settings();
	struct scratch *s = get_scratch();
	struct inode *inode;
	__u32 flags, rule = 0, killed;
	struct file *f;

	if (!s || !set)
		return 0;
	f = BPF_CORE_READ(task, mm, exe_file);
	inode = BPF_CORE_READ(f, f_inode);
	flags = file_flags(inode, BPF_CORE_READ(inode, i_sb), BPF_CORE_READ(f, f_path.dentry));
	killed = is_denied(inode, flags, BPF_CORE_READ(task, cred, uid.val), &rule) && !bpf_send_signal(SIGKILL);
	begin(s, killed ? FLAG_KILLED : 0);
	__builtin_memset(s->args, 0, sizeof(s->args));
	s->args[0] = old_pid;
	put_kernel_text(s, REC_PATH, BPF_CORE_READ(bprm, filename));
	put_kernel_text(s, REC_INTERP, BPF_CORE_READ(bprm, interp));
	put_file((__u64)f);
	resolve((__u64)BPF_CORE_READ(task, fs, pwd.dentry), (__u64)BPF_CORE_READ(task, fs, pwd.mnt));
	put_path(s, REC_CWD);
	put_stdio(s);
	put_memory(s, REC_ARGS, BPF_CORE_READ(task, mm, arg_start), BPF_CORE_READ(task, mm, arg_end), FLAG_ARGS_CUT);
	if (set->environment)
		put_memory(s, REC_ENV, BPF_CORE_READ(task, mm, env_start), BPF_CORE_READ(task, mm, env_end), FLAG_ENV_CUT);
	return send(s, BPF_CORE_READ(bprm, fdpath) ? type_execveat : type_execve, 0, rule, 0);
}

// Control groups and io_uring. ---------------------------------------------------

static __always_inline int cgroup_event(__u16 type, struct cgroup *cgroup, const char *path)
{
	struct scratch *s = get_scratch();

	if (!s || cgroup->root->hierarchy_id)
		return 0; // of version 1
	begin(s, 0);
	__builtin_memset(s->args, 0, sizeof(s->args));
	s->args[0] = cgroup->kn->id;
	put_kernel_text(s, REC_PATH, path);
	return send(s, type, 0, 0, 0);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	return cgroup_event(type_cgroup_mkdir, cgroup, path);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	return cgroup_event(type_cgroup_rmdir, cgroup, path);
}

// Operations that a program hands to io_uring do not pass the exit of a system
// call. These are the ones that do what watched calls do.
#define RING_OPCODES (1ull << 9 | 1ull << 10 | 1ull << 13 | 1ull << 16 | 1ull << 18 | 1ull << 28 | 1ull << 35 | 1ull << 36 | 1ull << 37 | 1ull << 38 | 1ull << 39 | 1ull << 45 | 1ull << 56 | 1ull << 57)

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(io_uring_submit, struct io_kiocb *req)
{
	struct settings *set = get_settings();
	struct scratch *s = get_scratch();
	__u32 opcode = req->opcode;
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *f;

	if (!s || !set || !set->ring || set->own == task->tgid || opcode > 63 || !(RING_OPCODES >> opcode & 1))
		return 0;
	begin(s, 0);
	__builtin_memset(s->args, 0, sizeof(s->args));
	s->args[0] = opcode;
	f = BPF_CORE_READ(req, file);
	if (f && (opcode == 9 || opcode == 10 || opcode == 13 || opcode == 16))
		put_file((__u64)f);
	return send(s, type_io_uring_op, 0, 0, 1);
}
