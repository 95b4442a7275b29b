// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Cuts a workload off the network. Loopback stays. Peers (the node, for the kubelet's
// probes) may open TCP connections to the workload, never the other way round.
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd
#define ETHERNET 14
#define ICMPV6 58
#define SYN 0x02
#define ACK 0x10
#define TC_PASS 0
#define TC_DROP 2

// What was refused, by place: counters[0] in, [1] out, [2] calls.
enum { IN, OUT, CALL, PLACES };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, __u32);
	__type(value, __u64);
} refused SEC(".maps");

// An IPv4 address is in its IPv6 form.
struct address {
	__u32 word[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct address);
	__type(value, __u8);
} peers SEC(".maps");

static __always_inline int refuse(__u32 place)
{
	__u64 *n = bpf_map_lookup_elem(&refused, &place);

	if (n)
		(*n)++;
	return 0;
}

static __always_inline int loopback(const struct address *a)
{
	if (a->word[0] || a->word[1])
		return 0;
	if (a->word[2] == 0)
		return a->word[3] == bpf_htonl(1);
	return a->word[2] == bpf_htonl(0xffff) && (a->word[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

// allowed judges the packet whose IP header is at off.
static __always_inline int allowed(struct __sk_buff *skb, __u32 off, int out)
{
	struct address from = {}, to = {}, *peer;
	__u8 first, protocol, flags;
	__u32 transport;

	if (bpf_skb_load_bytes(skb, off, &first, 1))
		return 0;
	if (first >> 4 == 4) {
		__u16 fragment;

		from.word[2] = to.word[2] = bpf_htonl(0xffff);
		if (bpf_skb_load_bytes(skb, off + 12, &from.word[3], 4) ||
		    bpf_skb_load_bytes(skb, off + 16, &to.word[3], 4) ||
		    bpf_skb_load_bytes(skb, off + 6, &fragment, 2) ||
		    bpf_skb_load_bytes(skb, off + 9, &protocol, 1))
			return 0;
		if (fragment & bpf_htons(0x1fff))
			protocol = 0; // no TCP header in it
		transport = off + (first & 15) * 4;
	} else if (first >> 4 == 6) {
		if (bpf_skb_load_bytes(skb, off + 8, &from, 16) ||
		    bpf_skb_load_bytes(skb, off + 24, &to, 16) ||
		    bpf_skb_load_bytes(skb, off + 6, &protocol, 1))
			return 0;
		transport = off + 40;
		// Neighbour discovery is what ARP is to IPv4: solicitation, advertisement.
		if (off == ETHERNET && protocol == ICMPV6 && !bpf_skb_load_bytes(skb, transport, &flags, 1) &&
		    (flags == 135 || flags == 136))
			return 1;
	} else {
		return 0;
	}
	if (loopback(&from) && loopback(&to))
		return 1;
	peer = out ? &to : &from;
	if (protocol != IPPROTO_TCP || !bpf_map_lookup_elem(&peers, peer))
		return 0;
	if (bpf_skb_load_bytes(skb, transport + 13, &flags, 1))
		return 0;
	return !out || (flags & (SYN | ACK)) != SYN;
}

SEC("cgroup_skb/ingress")
int cut_ingress(struct __sk_buff *skb)
{
	return allowed(skb, 0, 0) ? 1 : refuse(IN);
}

SEC("cgroup_skb/egress")
int cut_egress(struct __sk_buff *skb)
{
	return allowed(skb, 0, 1) ? 1 : refuse(OUT);
}

// The interfaces of a network namespace of the workload's own: packet sockets go
// past the cgroup. The frame's own type counts, not what its sender says it is.
static __always_inline int frame(struct __sk_buff *skb, int out)
{
	__u16 type;

	if (bpf_skb_load_bytes(skb, 12, &type, 2) == 0) {
		if (type == bpf_htons(ETHERTYPE_ARP))
			return TC_PASS;
		if ((type == bpf_htons(ETHERTYPE_IP) || type == bpf_htons(ETHERTYPE_IP6)) && allowed(skb, ETHERNET, out))
			return TC_PASS;
	}
	refuse(out ? OUT : IN);
	return TC_DROP;
}

SEC("tc")
int cut_interface_ingress(struct __sk_buff *skb)
{
	return frame(skb, 0);
}

SEC("tc")
int cut_interface_egress(struct __sk_buff *skb)
{
	return frame(skb, 1);
}

// The calls fail at once instead of running into a timeout.
static __always_inline int call4(struct bpf_sock_addr *ctx)
{
	struct address to = {{0, 0, bpf_htonl(0xffff), ctx->user_ip4}};

	return loopback(&to) ? 1 : refuse(CALL);
}

static __always_inline int call6(struct bpf_sock_addr *ctx)
{
	struct address to = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	return loopback(&to) ? 1 : refuse(CALL);
}

SEC("cgroup/connect4")
int cut_connect4(struct bpf_sock_addr *ctx)
{
	return call4(ctx);
}

SEC("cgroup/connect6")
int cut_connect6(struct bpf_sock_addr *ctx)
{
	return call6(ctx);
}

SEC("cgroup/sendmsg4")
int cut_sendmsg4(struct bpf_sock_addr *ctx)
{
	return call4(ctx);
}

SEC("cgroup/sendmsg6")
int cut_sendmsg6(struct bpf_sock_addr *ctx)
{
	return call6(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
