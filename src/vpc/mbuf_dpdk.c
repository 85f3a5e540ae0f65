#include "vpc/mbuf_dpdk.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>

#include "vpc/parse.h"
#include "vpc/tunnel.h"

enum { ETHERTYPE_AT = 12 };

static bool ethertype_is(const uint8_t *frame, uint16_t ethertype)
{
	return frame[ETHERTYPE_AT] == ethertype >> 8 && frame[ETHERTYPE_AT + 1] == (ethertype & 0xff);
}

/* Good means that all checksums of the frame are: an IPv6 header has none, and a device may say nothing about it. */
static uint8_t checksum_flags(const struct rte_mbuf *m, const uint8_t *frame, uint32_t bytes)
{
	uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD || bytes < ETHER_BYTES)
		return 0;
	return ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || ethertype_is(frame, RTE_ETHER_TYPE_IPV6) ? PACKET_CSUM_VALID : 0;
}

bool mbuf_to_packet(struct rte_mbuf *m, struct packet *p, struct iovec tail[MBUF_SEGMENTS_MAX])
{
	uint8_t tail_count = 0;

	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		return false;
	if (m->next != NULL && m->data_len < PACKET_HEAD_MIN_BYTES && rte_pktmbuf_linearize(m) != 0)
		return false;
	for (struct rte_mbuf *at = m->next; at != NULL; at = at->next) {
		if (tail_count == MBUF_SEGMENTS_MAX)
			return false;
		tail[tail_count++] = (struct iovec){rte_pktmbuf_mtod(at, void *), at->data_len};
	}
	*p = (struct packet){
		.head = rte_pktmbuf_mtod(m, uint8_t *), .headroom_bytes = rte_pktmbuf_headroom(m), .head_bytes = m->data_len};
	p->tail_bytes = m->pkt_len - m->data_len;
	p->tail = tail;
	p->tail_count = tail_count;
	p->flags = checksum_flags(m, p->head, m->data_len);
	return true;
}

/* Appends to the last buffer of the chain, and chains more as they are needed. */
static bool append(struct rte_mempool *pool, struct rte_mbuf *m, struct rte_mbuf **last, const uint8_t *from, size_t bytes)
{
	while (bytes > 0) {
		uint16_t room = rte_pktmbuf_tailroom(*last), part = (uint16_t)(bytes < room ? bytes : room);

		if (room == 0) {
			struct rte_mbuf *next = rte_pktmbuf_alloc(pool);

			if (next == NULL)
				return false;
			next->data_off = 0; /* only the first needs room before it */
			(*last)->next = next;
			*last = next;
			m->nb_segs++;
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(*last, uint8_t *, (*last)->data_len), from, part);
		(*last)->data_len = (uint16_t)((*last)->data_len + part);
		m->pkt_len += part;
		from += part;
		bytes -= part;
	}
	return true;
}

bool mbuf_fill(struct rte_mempool *pool, struct rte_mbuf *m, const struct packet *p)
{
	struct rte_mbuf *last = m;
	bool whole = append(pool, m, &last, p->head, p->head_bytes);

	for (unsigned i = 0; i < p->tail_count && whole; i++)
		whole = append(pool, m, &last, p->tail[i].iov_base, p->tail[i].iov_len);
	return whole;
}

static uint64_t outer_flags(const struct packet *p, bool v6, uint32_t ip_bytes)
{
	uint16_t port;

	memcpy(&port, p->head + ETHER_BYTES + ip_bytes + 2, sizeof(port));
	return (port == htons(TUNNEL_GENEVE_PORT) ? RTE_MBUF_F_TX_TUNNEL_GENEVE : RTE_MBUF_F_TX_TUNNEL_VXLAN) |
	       (v6 ? RTE_MBUF_F_TX_OUTER_IPV6 : RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_OUTER_IP_CKSUM);
}

void mbuf_set_offloads(struct rte_mbuf *m, const struct packet *p)
{
	const struct packet_layers *l = &p->layers;
	uint64_t flags = l->family == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	uint32_t outer_bytes = (uint32_t)p->csum_start - l->l4_offset, outer_l2 = 0, outer_l3 = 0;

	if (!(p->flags & PACKET_NEEDS_CSUM))
		return;
	flags |= l->protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	if (p->gso != PACKET_GSO_NONE) {
		flags |= p->gso == PACKET_GSO_UDP ? RTE_MBUF_F_TX_UDP_SEG : RTE_MBUF_F_TX_TCP_SEG;
		if (l->family == 4)
			flags |= RTE_MBUF_F_TX_IP_CKSUM;
	}
	/* l2_len of a frame in a tunnel counts from behind the outer IP header (rte_mbuf_core.h, tx_offload). */
	if (outer_bytes > 0) {
		bool v6 = ethertype_is(p->head, RTE_ETHER_TYPE_IPV6);

		outer_l2 = ETHER_BYTES;
		outer_l3 = v6 ? IPV6_BYTES : IPV4_BYTES;
		flags |= outer_flags(p, v6, outer_l3);
	}
	m->ol_flags |= flags;
	m->tx_offload = rte_mbuf_tx_offload(outer_bytes - outer_l2 - outer_l3 + l->l3_offset, (uint64_t)l->l4_offset - l->l3_offset,
					    l->l4_header_bytes, p->gso_size, outer_l3, outer_l2, 0);
}
