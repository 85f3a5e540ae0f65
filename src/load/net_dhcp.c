#include "load/net_dhcp.h"

#include <arpa/inet.h>

enum {
	UDP_BYTES = 8,
	PORT_SERVER = 67,
	PORT_CLIENT = 68,
	FIXED_BYTES = 236, /* RFC 2131, 2: up to the options */
	COOKIE_BYTES = 4,
	BOOT_REQUEST = 1,
	BOOT_REPLY = 2,
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_MESSAGE = 53,
	OPTION_SERVER = 54,
	OPTION_PARAMETERS = 55,
	OPTION_END = 255,
	DISCOVER = 1,
	OFFER = 2,
	REQUEST = 3,
	ACK = 5,
	NAK = 6,
	HOP_LIMIT = 64,
};

static const uint8_t cookie[COOKIE_BYTES] = {99, 130, 83, 99};

void net_dhcp_start(struct net_dhcp *dhcp, const struct mac *mac, int vlan, uint32_t transaction)
{
	*dhcp = (struct net_dhcp){.mac = *mac, .vlan = vlan, .transaction = transaction};
}

static uint8_t *add_address(uint8_t *at, uint8_t option, uint32_t address)
{
	at[0] = option;
	at[1] = sizeof(address);
	frame_put32(at + 2, address);
	return at + 6;
}

static uint32_t build_message(const struct net_dhcp *dhcp, uint8_t *message)
{
	static const uint8_t parameters[] = {OPTION_PARAMETERS, 3, OPTION_MASK, OPTION_ROUTER, OPTION_MTU};
	uint8_t *at = message + FIXED_BYTES;

	memset(message, 0, FIXED_BYTES);
	message[0] = BOOT_REQUEST;
	message[1] = 1; /* Ethernet, */
	message[2] = 6; /* and its addresses' size */
	frame_put32(message + 4, dhcp->transaction);
	memcpy(message + 28, dhcp->mac.bytes, 6);
	memcpy(at, cookie, COOKIE_BYTES);
	at += COOKIE_BYTES;
	*at++ = OPTION_MESSAGE;
	*at++ = 1;
	*at++ = dhcp->state == DHCP_DISCOVERING ? DISCOVER : REQUEST;
	if (dhcp->state != DHCP_DISCOVERING) {
		at = add_address(at, OPTION_REQUESTED, dhcp->address);
		at = add_address(at, OPTION_SERVER, dhcp->server);
	}
	memcpy(at, parameters, sizeof(parameters));
	at += sizeof(parameters);
	*at++ = OPTION_END;
	return (uint32_t)(at - message);
}

uint32_t net_dhcp_build(const struct net_dhcp *dhcp, uint8_t *frame)
{
	const struct frame_plan plan = {.source_mac = dhcp->mac,
					.destination_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
					.source = net_address_v4(0),
					.destination = net_address_v4(UINT32_MAX),
					.vlan = dhcp->vlan,
					.protocol = IPPROTO_UDP};
	uint8_t message[NET_DHCP_BYTES_MAX];
	uint32_t bytes = UDP_BYTES + build_message(dhcp, message), at = frame_build_ip(frame, &plan, HOP_LIMIT, bytes);
	uint8_t *udp = frame + at;
	uint64_t sum;

	frame_put16(udp, htons(PORT_CLIENT));
	frame_put16(udp + 2, htons(PORT_SERVER));
	frame_put16(udp + 4, htons((uint16_t)bytes));
	frame_put16(udp + 6, 0);
	memcpy(udp + UDP_BYTES, message, bytes - UDP_BYTES);
	sum = frame_pseudo_sum(&plan.source, &plan.destination, IPPROTO_UDP, bytes);
	sum = (uint16_t)~net_checksum_fold(net_checksum_add(sum, udp, bytes));
	frame_put16(udp + 6, sum == 0 ? UINT16_MAX : (uint16_t)sum);
	return at + bytes;
}

static uint32_t read32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* Takes what it knows from the options; returns the message type, 0 when there is none or they are broken. */
static uint8_t read_options(struct net_dhcp *lease, const uint8_t *at, uint32_t bytes)
{
	uint8_t type = 0;
	uint32_t i = 0;

	while (i < bytes && at[i] != OPTION_END) {
		uint8_t option = at[i], size;

		if (option == OPTION_PAD) {
			i++;
			continue;
		}
		if (i + 2 > bytes || i + 2 + at[i + 1] > bytes)
			return 0;
		size = at[i + 1];
		i += 2;
		if (option == OPTION_MESSAGE && size == 1)
			type = at[i];
		else if (option == OPTION_MASK && size == 4)
			lease->mask = read32(at + i);
		else if (option == OPTION_ROUTER && size >= 4)
			lease->router = read32(at + i);
		else if (option == OPTION_SERVER && size == 4)
			lease->server = read32(at + i);
		else if (option == OPTION_MTU && size == 2)
			lease->mtu = (uint16_t)(at[i] << 8 | at[i + 1]);
		i += size;
	}
	return type;
}

bool net_dhcp_take(struct net_dhcp *dhcp, const struct net_packet *packet)
{
	struct net_dhcp lease = *dhcp;
	const uint8_t *message = packet->head + packet->payload_offset;
	uint32_t bytes;
	uint8_t type;

	if (packet->kind != NET_PACKET_UDP || packet->tuple.source_port != htons(PORT_SERVER) ||
	    packet->tuple.destination_port != htons(PORT_CLIENT) || dhcp->state == DHCP_BOUND)
		return false;
	if (packet->transport_bytes < UDP_BYTES + FIXED_BYTES + COOKIE_BYTES ||
	    packet->payload_offset + packet->transport_bytes - UDP_BYTES > packet->head_bytes)
		return false;
	bytes = packet->transport_bytes - UDP_BYTES;
	if (message[0] != BOOT_REPLY || read32(message + 4) != dhcp->transaction || memcmp(message + 28, dhcp->mac.bytes, 6) != 0 ||
	    memcmp(message + FIXED_BYTES, cookie, COOKIE_BYTES) != 0)
		return false;
	lease.address = read32(message + 16);
	type = read_options(&lease, message + FIXED_BYTES + COOKIE_BYTES, bytes - FIXED_BYTES - COOKIE_BYTES);
	if (dhcp->state == DHCP_REQUESTING && type == NAK) {
		dhcp->state = DHCP_DISCOVERING;
		return true;
	}
	if (lease.address == 0 || lease.server == 0 || type != (dhcp->state == DHCP_DISCOVERING ? OFFER : ACK))
		return false;
	lease.state = dhcp->state == DHCP_DISCOVERING ? DHCP_REQUESTING : DHCP_BOUND;
	*dhcp = lease;
	return true;
}
