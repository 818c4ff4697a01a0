// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// The program that counts frames in the kernel. See the package comment in count.go and docs/decisions/0035.
//
// It is a filter of a packet socket. For each frame it adds to the cells of the frame's second, and returns how many bytes of
// the frame enter the ring. A frame is plain if the program reads it exactly as package decode does. A plain frame enters
// the ring if it is in the sample. A frame that is not plain always enters the ring, so that package decode counts it.
//
// Verifier: without CAP_PERFMON, the kernel protects itself against Spectre v1. It forbids that different ways through the
// program reach an addition to a map value with different bounds, so each place is found with one masked index. And it follows
// every way on which any number differs that is still needed. So numbers that are known on each way become unknown, where the
// ways meet again: by an exclusive or with "zero", which the verifier does not know, or by a detour through the frame's
// control block.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// tai is set before the program is loaded: whether the kernel has bpf_ktime_get_tai_ns (Linux 6.1).
const volatile unsigned char tai = 0;

// These, and the structs below, are also in layout_unsafe.go.
#define SLOTS 8     // seconds
#define HOST_NETS 4 // of each IP version, without tries
#define PORT_SETS 2

// Groups of frames.
enum { SKIPPED, SAMPLED, OTHER, GROUPS = 4 };
// Transports of a cell.
enum { OTHER_L4, UDP, TCP, NO_IP };
// Outcomes of a DNS message, as in package analyze/dns.
enum { ASKED, OTHER_RCODE, SERVFAIL, NXDOMAIN, REFUSED, NOERROR, NODATA };
// Flags of a TCP segment.
enum { NO_FLAG, SYN, SYN_ACK, RST };

struct cell {
	__u64 packets, bytes;
};

struct slot {
	struct cell cells[GROUPS * 32]; // 32 * group + 8 * direction + 4 * (IPv6) + transport
	__u64 dns[GROUPS * 64];         // 64 * group + 16 * direction + 8 * (IPv6) + outcome
	__u64 tcp[GROUPS * 4];          // 4 * group + flag
	__u64 frames[GROUPS];
	__u64 supers[GROUPS];           // frames that stand for several packets
	__u64 super_packets[GROUPS];
	__u64 truncated[GROUPS];        // DNS responses with TC
};

struct net4 {
	__u32 addr, mask;
};

struct net6 {
	__u64 addr[2], mask[2];
};

struct conf {
	__u32 threshold; // a frame is in the sample if the hash of its addresses is below; all ones: every frame
	__u32 seed;      // of the hash
	__u32 snaplen;
	__u32 zero;      // always 0
	__u32 raw;       // frames begin with the IP header
	__u32 received;  // sent frames are not counted, and do not enter the ring: the loopback interface shows each frame twice
	__u32 decap;     // tunnels are not plain
	__u32 split;     // a super frame counts as its packets
	__u32 tries;     // the host subnets are in the tries
	__u32 generation; // which of the two sets of host subnets counts
	__u32 first_port; // the first DNS port; 1 << 16 if there is none
	__u32 off;       // every frame enters the ring, and none is counted
	__s64 offset;    // the clock's time to Unix time, in nanoseconds
	__u64 version, clock; // of a program that was pinned: what user space left there
	__u64 window;    // the slot of the present second, and 16 times the jiffies until which it is known to be
	__u64 coarse[PORT_SETS];      // a bit for the remainder by 64 of each port
	struct net4 nets4[2][HOST_NETS]; // an unused entry has mask 0 and address 1
	struct net6 nets6[2][HOST_NETS];
	__u64 ports[PORT_SETS][1024]; // DNS; tunnels
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct conf);
} conf SEC(".maps");

// One entry for each slot of each possible CPU. An array for each CPU (BPF_MAP_TYPE_PERCPU_ARRAY) cannot be mapped.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct key4 {
	__u32 len, addr;
};

struct key6 {
	__u32 len;
	__u64 addr[2];
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key4);
	__type(value, __u32);
} hosts4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key6);
	__type(value, __u32);
} hosts6 SEC(".maps");

#define INLINE static __always_inline
#define be16(x) __builtin_bswap16(x)

// One load puts the EtherType, the IP header and the start of what follows at fixed places.
struct head {
	__u16 pad[3], type;
	union {
		struct {
			__u8 version, tos;
			__u16 total, id, fragment;
			__u8 ttl, proto;
			__u16 sum;
			__u32 src, dst;
			__u16 l4[20];
		} v4;
		struct {
			__u32 version;
			__u16 length;
			__u8 proto, hops;
			__u64 src[2], dst[2];
			__u16 l4[10];
		} v6;
	};
} __attribute__((aligned(8)));

#define ETHER 14
#define L4 20 // bytes of the transport that are loaded: TCP's header, or UDP's and that of DNS

// What is found out about a frame.
struct found {
	__u32 plain;
	__u32 direction, v6, transport;
	__u32 packets, bytes;
	__u32 is_dns, outcome, truncated;
	__u32 flag;
	__u32 hash;
};

// none is 1 for 0, and 0 for anything else, without a branch: with branches, the verifier follows every way through the nets.
INLINE __u32 none(__u64 x)
{
	return (x - 1) >> 63;
}

INLINE __u32 is_host4(struct conf *c, __u32 addr)
{
	if (c->tries) {
		struct key4 k = { 32, addr };
		return bpf_map_lookup_elem(&hosts4, &k) != 0;
	}
	struct net4 *n = c->nets4[c->generation & 1];
	__u32 hit = 0;
#pragma unroll
	for (int i = 0; i < HOST_NETS; i++)
		hit |= none((addr & n[i].mask) ^ n[i].addr);
	return hit & 1;
}

INLINE __u32 is_host6(struct conf *c, __u64 *a)
{
	if (c->tries) {
		struct key6 k = { 128, { a[0], a[1] } };
		return bpf_map_lookup_elem(&hosts6, &k) != 0;
	}
	struct net6 *n = c->nets6[c->generation & 1];
	__u32 hit = 0;
#pragma unroll
	for (int i = 0; i < HOST_NETS; i++) {
		__u64 x = ((a[0] & n[i].mask[0]) ^ n[i].addr[0]) | ((a[1] & n[i].mask[1]) ^ n[i].addr[1]);
		hit |= x == 0;
	}
	return hit & 1;
}

// in_ports tells whether one of two ports is in a set.
INLINE __u32 in_ports(struct conf *c, __u32 set, __u32 p, __u32 q)
{
	if (!((c->coarse[set] >> (p & 63) | c->coarse[set] >> (q & 63)) & 1))
		return 0;
	return (c->ports[set][(p >> 6) & 1023] >> (p & 63) | c->ports[set][(q >> 6) & 1023] >> (q & 63)) & 1;
}

INLINE __u32 is_dns(struct conf *c, __u32 p, __u32 q)
{
	return p == c->first_port || q == c->first_port || in_ports(c, 0, p, q);
}

#define SECOND 1000000000ull
#define MARGIN 50000000ull      // jiffies are late by less than this, even if a hypervisor takes the CPU away
#define LONGEST_JIFFY 10000000ull // HZ is at least 100

// present returns the slot of the present second. It asks the exact clock only close to the end of a second. Elsewhere the
// jiffies show that the second cannot have ended. A jiffy may be shorter than the longest one; then the clock is asked a few
// times more.
INLINE __u32 present(struct conf *c)
{
	__u64 jiffies = bpf_jiffies64(), window = c->window;
	if (jiffies < window >> 4)
		return window & (SLOTS - 1);
	__u64 now = (tai ? bpf_ktime_get_tai_ns() : bpf_ktime_get_ns()) + c->offset;
	__u64 second = now / SECOND, rest = SECOND - now % SECOND;
	window = second & (SLOTS - 1);
	if (rest > MARGIN)
		window |= (jiffies + (rest - MARGIN) / LONGEST_JIFFY) << 4;
	c->window = window;
	return window & (SLOTS - 1);
}

// segments counts the packets of a super frame, whose headers end where payload bytes are left, as package decode does. It
// returns 0 if they cannot be counted here.
INLINE __u32 segments(struct found *f, __u32 payload, __u32 size)
{
	if (payload > f->bytes)
		return 0;
	if (payload <= size)
		return 1;
	__u32 n = (payload + size - 1) / size;
	if (n > 4096)
		return 0;
	f->packets = n;
	f->bytes += (n - 1) * (f->bytes - payload);
	return 1;
}

// message reads the header of a DNS message, 12 bytes of which were loaded behind UDP's header.
INLINE __u32 message(struct found *f, __u16 *dns)
{
	__u32 flags = be16(dns[1]);
	if (flags & 0x7800 || dns[2] != be16(1)) // another opcode than QUERY, or not one question
		return 0;
	f->is_dns = 1;
	f->outcome = ASKED;
	if (!(flags & 0x8000))
		return 1;
	f->truncated = flags >> 9 & 1;
	switch (flags & 15) {
	case 0:
		f->outcome = NOERROR;
		if (dns[3] == 0 && !f->truncated) {
			if (dns[4] != 0 && !(flags & 0x0400)) // a referral or not: its records must be read
				return 0;
			f->outcome = NODATA;
		}
		break;
	case 2:
		f->outcome = SERVFAIL;
		break;
	case 3:
		f->outcome = NXDOMAIN;
		break;
	case 5:
		f->outcome = REFUSED;
		break;
	default:
		f->outcome = OTHER_RCODE;
	}
	return 1;
}

// ip is what the IP header says about what follows it.
struct ip {
	__u32 more;       // a transport or another protocol follows; 0 if the frame is not plain
	__u32 proto;
	__u32 room, held; // the bytes that follow, by the IP header and loaded
	__u16 l4[L4 / 2];
};

INLINE __u32 guess(__u32 proto)
{
	return proto == 17 ? UDP : proto == 6 ? TCP : OTHER_L4;
}

// transport reads what follows the IP header. It returns whether the frame is plain.
INLINE __u32 transport(struct __sk_buff *skb, struct conf *c, struct found *f, struct ip *ip)
{
	__u16 *l4 = ip->l4;
	__u32 room = ip->room, held = ip->held;
	__u32 size = c->split ? skb->gso_size : 0;
	__u32 p = be16(l4[0]), q = be16(l4[1]);
	if (ip->proto == 17) {
		__u32 n = be16(l4[2]);
		if (held < 8 || n < 8 || n > room)
			return 0;
		if (is_dns(c, p, q)) {
			if (n < 20 || held < 20 || size)
				return 0;
			if (c->decap && in_ports(c, 1, p, q))
				return 0;
			return message(f, l4 + 4);
		}
		if ((c->decap || size) && in_ports(c, 1, p, q))
			return 0;
		return !size || segments(f, n - 8, size);
	}
	if (ip->proto == 6) {
		__u32 n = (be16(l4[6]) >> 12) << 2, flags = be16(l4[6]);
		if (held < 20 || room < 20 || n < 20 || n > room || is_dns(c, p, q)) // a stream's messages are read by package reassemble
			return 0;
		if (flags & 4)
			f->flag = RST;
		else if (flags & 2)
			f->flag = flags & 16 ? SYN_ACK : SYN;
		return !size || segments(f, room - n, size);
	}
	return !size;
}

// other tells whether more headers may follow an IP header, or a tunnel that counts.
INLINE __u32 other(struct conf *c, __u32 proto)
{
	switch (proto) {
	case 51: // AH
		return 1;
	case 4: case 41: case 47: case 97: case 115: case 137: case 143:
		return c->decap;
	}
	return 0;
}

INLINE __u32 extends(__u32 proto)
{
	switch (proto) {
	case 0: case 43: case 44: case 60: case 135: case 139: case 140:
		return 1;
	}
	return 0;
}

INLINE void ipv4(struct conf *c, struct found *f, struct ip *ip, struct head *h, __u32 held)
{
	if (held < 20 || h->v4.version >> 4 != 4)
		return;
	__u32 to = is_host4(c, h->v4.dst), from = is_host4(c, h->v4.src);
	f->direction = (to | (from & ~to) << 1) ^ c->zero;
	f->hash = h->v4.src + h->v4.dst;
	__u32 total = be16(h->v4.total), proto = h->v4.proto;
	f->transport = guess(proto);
	if (h->v4.version != 0x45 || total < 20 || h->v4.fragment & be16(0x3fff) || other(c, proto))
		return;
	ip->more = 1;
	ip->proto = proto;
	ip->room = total - 20;
	ip->held = held - 20;
	__builtin_memcpy(ip->l4, h->v4.l4, L4);
}

INLINE void ipv6(struct conf *c, struct found *f, struct ip *ip, struct head *h, __u32 held)
{
	if (held < 40 || (h->v6.version & 0xf0) != 0x60)
		return;
	f->v6 = 1;
	__u64 *s = h->v6.src, *d = h->v6.dst;
	__u32 to = is_host6(c, d), from = is_host6(c, s);
	f->direction = (to | (from & ~to) << 1) ^ c->zero;
	__u64 low = (__u32)s[0] + (__u32)s[1] + (__u32)d[0] + (__u32)d[1];
	f->hash = low + (s[0] >> 32) + (s[1] >> 32) + (d[0] >> 32) + (d[1] >> 32);
	__u32 proto = h->v6.proto;
	f->transport = guess(proto);
	// The addresses of IPv4 that are mapped into IPv6 have the directions of IPv4.
	__u64 mapped = 0xffff0000;
	if ((s[0] == 0 && (__u32)s[1] == mapped) || (d[0] == 0 && (__u32)d[1] == mapped) || other(c, proto) || extends(proto))
		return;
	ip->more = 1;
	ip->proto = proto;
	ip->room = be16(h->v6.length);
	ip->held = held - 40;
	__builtin_memcpy(ip->l4, h->v6.l4, L4);
}

// load loads an EtherType at off, and as much of what follows it as is needed and there is, in one of a few lengths: the verifier
// wants constants. It returns how many bytes follow the EtherType, as far as they were loaded.
INLINE __u32 load(struct __sk_buff *skb, __u32 off, struct head *h)
{
	__u32 held = skb->len - off - 2; // if the frame is shorter, a large number, and the load fails
	if (held >= 40 + L4) {
		held = 40 + L4;
		if (bpf_skb_load_bytes(skb, off, &h->type, 2 + 40 + L4))
			goto failed;
	} else if (held >= 40) {
		held = 40;
		if (bpf_skb_load_bytes(skb, off, &h->type, 2 + 40))
			goto failed;
	} else if (held >= 28) {
		held = 28;
		if (bpf_skb_load_bytes(skb, off, &h->type, 2 + 28))
			goto failed;
	} else {
		held = 0;
		if (bpf_skb_load_bytes(skb, off, &h->type, 2))
			goto failed;
	}
	return held;
failed:
	h->type = 0;
	return 0;
}

// load_raw does the same for a frame that begins with the IP header, and sets the EtherType by the header's version.
INLINE __u32 load_raw(struct __sk_buff *skb, struct head *h)
{
	__u32 held = skb->len;
	h->type = 0;
	if (held >= 40 + L4) {
		held = 40 + L4;
		if (bpf_skb_load_bytes(skb, 0, &h->v4, 40 + L4))
			return 0;
	} else if (held >= 40) {
		held = 40;
		if (bpf_skb_load_bytes(skb, 0, &h->v4, 40))
			return 0;
	} else if (held >= 28) {
		held = 28;
		if (bpf_skb_load_bytes(skb, 0, &h->v4, 28))
			return 0;
	} else {
		return 0;
	}
	if (h->v4.version >> 4 == 4)
		h->type = be16(0x0800);
	else if (h->v4.version >> 4 == 6)
		h->type = be16(0x86dd);
	return held;
}

INLINE __u32 mix(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

// tally counts the frame, whose control block says what was found, and returns how much of it enters the ring.
INLINE int tally(struct __sk_buff *skb, struct conf *c)
{
	volatile __u32 *cb = skb->cb;
	__u32 packets = cb[0], bytes = cb[1], hash = cb[2], found = cb[3];
	__u32 key = bpf_get_smp_processor_id() * SLOTS + present(c);
	struct slot *s = bpf_map_lookup_elem(&slots, &key);
	if (!s)
		return c->snaplen; // a CPU that the kernel has said cannot exist
	__u32 plain = found & 1, dns = found >> 1 & plain, truncated = found >> 2 & plain, flag = found >> 3 & 3 & -plain;
	__u32 outcome = found >> 5 & 7, cell = found >> 8 & 31, net = found >> 10 & 7;
	__u32 group = OTHER;
	if (plain)
		group = mix(hash + c->seed) < c->threshold || c->threshold == 0xffffffff ? SAMPLED : SKIPPED;
	group ^= c->zero;
	__u32 i = (32 * group + cell) & (GROUPS * 32 - 1);
	s->cells[i].packets += packets;
	s->cells[i].bytes += bytes;
	i = (64 * group + 8 * net + outcome) & (GROUPS * 64 - 1);
	s->dns[i] += dns;
	i = (4 * group + flag) & (GROUPS * 4 - 1);
	s->tcp[i] += packets;
	i = group & (GROUPS - 1);
	s->frames[i]++;
	__u32 super = packets > 1;
	s->supers[i] += super;
	s->super_packets[i] += packets & -super;
	s->truncated[i] += truncated;
	return group == SKIPPED ? 0 : c->snaplen;
}

#define OUTGOING 4 // PACKET_OUTGOING
#define TAG 4      // bytes of a VLAN tag

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct conf *c = bpf_map_lookup_elem(&conf, &key);
	if (!c)
		return 0;
	if (c->received && skb->pkt_type == OUTGOING)
		return 0;
	if (c->off)
		return c->snaplen;
	struct found f = { .packets = 1, .bytes = skb->len + (skb->vlan_present ? TAG : 0), .transport = NO_IP };
	struct head h;
	__builtin_memset(&h, 0, sizeof h);
	struct ip ip = {};
	__u32 held = 0;
	if (c->raw) {
		held = load_raw(skb, &h) ^ c->zero;
	} else {
		__u32 off = ETHER - 2;
#pragma clang loop unroll(disable)
		for (int i = 0; i < 3; i++) {
			held = load(skb, off, &h) ^ c->zero;
			if (h.type != be16(0x8100) && h.type != be16(0x88a8))
				break;
			off += TAG;
		}
	}
	switch (h.type) {
	case be16(0x0800):
		ipv4(c, &f, &ip, &h, held);
		break;
	case be16(0x86dd):
		ipv6(c, &f, &ip, &h, held);
		break;
	case be16(0x8100): case be16(0x88a8): case be16(0x9100): // tags
	case be16(0x8926): case be16(0x8909): case be16(0x88e7):
	case be16(0x8847): case be16(0x8848): case be16(0x8864): case be16(0x894f): // labels, PPPoE, NSH
		break;
	default:
		f.plain = be16(h.type) >= 0x600 && !skb->gso_size;
	}

	if (ip.more)
		f.plain = transport(skb, c, &f, &ip);

	volatile __u32 *cb = skb->cb;
	cb[0] = f.packets;
	cb[1] = f.bytes;
	cb[2] = f.hash;
	cb[3] = f.plain | f.is_dns << 1 | f.truncated << 2 | f.flag << 3 | f.outcome << 5 | f.transport << 8 | f.v6 << 10 | f.direction << 11;
	return tally(skb, c);
}
