/*
 * Finding and configuring the port of a wire. A device is named as DPDK names it: a virtual one by its driver and a number
 * ("net_af_packet0,iface=eth1"), a PCI one by its address.
 *
 * Two things that DPDK leaves to the user are looked up for interfaces of the kernel (`iface=`): the interface's MTU, also for
 * frames larger than a packet socket's slots (framesz, blocksz); and the socket behind the port, which tells of frames, so that an
 * unused wire costs nothing. The driver does not show it: it is the packet or XDP socket that is there after the port was started
 * and was not before.
 */
#include "vpc/wire_dpdk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "base/log.h"
#include "vpc/eal_dpdk.h"
#include "vpc/offload.h"
#include "vpc/parse.h"

enum {
	DEVICE_SIZE = sizeof(((struct wire_config *)NULL)->device) + 64,
	NAME_SIZE = 64,
	DESCRIPTORS_MAX = 1 << 16, /* of our process, that are looked at */
	BUFFER_BYTES_MIN = 2048,
	BUFFERS = 4 * WIRE_DESCRIPTORS - 1,		 /* both rings full, what is in hand, and a poller's cache */
	BUFFERS_OF_PACKET_SOCKET = WIRE_DESCRIPTORS - 1, /* its rings are the kernel's: frames are copied at once */
	PACKET_SLOT_DEFAULT = 2048,			 /* of a packet socket's ring: the driver's */
	PACKET_SLOT_HEADER = 84, /* before the IP packet in a slot: tpacket2_hdr and sockaddr_ll, aligned, Ethernet, a VLAN tag */
	PACKET_SLOT_JUMBO = 16384,
};

#define TUNNEL_OFFLOADS	  (RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO | RTE_ETH_TX_OFFLOAD_GENEVE_TNL_TSO | RTE_ETH_TX_OFFLOAD_OUTER_IPV4_CKSUM)
#define CHECKSUM_OFFLOADS (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define RECEIVE_CHECKS	  (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

struct probe {
	struct wire_dpdk *w;
	char arguments[DEVICE_SIZE];
	char name[NAME_SIZE];	  /* "net_af_packet0", "0000:3b:00.0" */
	char driver[NAME_SIZE];	  /* "net_af_packet"; "" for PCI */
	char interface[IFNAMSIZ]; /* of the kernel; "": none */
	unsigned interface_mtu;	  /* 0: none */
	uint8_t *descriptors;	  /* bit each: open before */
	struct rte_eth_dev_info info;
	char *error;
	size_t error_size;
};

static int fail(struct probe *p, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct probe *p, int rc, const char *format, ...)
{
	va_list arguments;
	int length = snprintf(p->error, p->error_size, "wire %s: ", p->w->wire.config.device);

	va_start(arguments, format);
	if (length >= 0 && (size_t)length < p->error_size)
		vsnprintf(p->error + length, p->error_size - (size_t)length, format, arguments);
	va_end(arguments);
	return rc;
}

/* ---- the name ---- */

static void copy_word(char *out, size_t size, const char *from, size_t length)
{
	snprintf(out, size, "%.*s", (int)length, from);
}

/* The value of `key=` among devargs; false: it is not there. */
static bool argument_find(const char *device, const char *key, char *out, size_t size)
{
	size_t key_length = strlen(key);

	for (const char *at = strchr(device, ','); at != NULL; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, key, key_length) == 0 && at[key_length] == '=') {
			at += key_length + 1;
			copy_word(out, size, at, strcspn(at, ","));
			return true;
		}
	}
	return false;
}

/* Its MTU, and a socket to ask it for its link later on. */
static void interface_open(struct probe *p)
{
	struct wire_dpdk *w = p->w;
	struct ifreq request = {0};

	w->link_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(w->interface, p->interface, sizeof(w->interface));
	memcpy(request.ifr_name, p->interface, sizeof(request.ifr_name));
	if (w->link_fd >= 0 && ioctl(w->link_fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0)
		p->interface_mtu = (unsigned)request.ifr_mtu;
}

static void name_read(struct probe *p)
{
	const char *device = p->w->wire.config.device;
	size_t length;
	char slot[16];

	copy_word(p->name, sizeof(p->name), device, strcspn(device, ","));
	if (strncmp(p->name, "net_", 4) == 0 || strncmp(p->name, "eth_", 4) == 0) {
		length = strlen(p->name);
		while (length > 0 && p->name[length - 1] >= '0' && p->name[length - 1] <= '9')
			length--;
		snprintf(p->driver, sizeof(p->driver), "net_%.*s", (int)length - 4, p->name + 4);
	}
	snprintf(p->arguments, sizeof(p->arguments), "%s", device);
	/* What a tap's `iface=` names is to be made, not there yet. */
	if (strcmp(p->driver, "net_tap") == 0 || !argument_find(device, "iface", p->interface, sizeof(p->interface)))
		return;
	interface_open(p);
	if (strcmp(p->driver, "net_af_packet") == 0 && !argument_find(device, "framesz", slot, sizeof(slot)) &&
	    p->interface_mtu > PACKET_SLOT_DEFAULT - PACKET_SLOT_HEADER)
		snprintf(p->arguments, sizeof(p->arguments), "%s,framesz=%d,blocksz=%d", device, PACKET_SLOT_JUMBO,
			 PACKET_SLOT_JUMBO);
}

/* ---- what went wrong ---- */

/* A driver's file has its name, but for one; a version behind it; and without that only where programs are built. */
static bool driver_exists(const char *driver)
{
	DIR *folder = opendir(RTE_EAL_PMD_PATH);
	struct dirent *entry;
	char file[NAME_SIZE + 16];
	bool found = false;

	if (folder == NULL)
		return false;
	snprintf(file, sizeof(file), "librte_%s.so", strcmp(driver, "net_virtio_user") == 0 ? "net_virtio" : driver);
	while (!found && (entry = readdir(folder)) != NULL)
		found = strncmp(entry->d_name, file, strlen(file)) == 0;
	closedir(folder);
	return found;
}

static int fail_unknown_driver(struct probe *p)
{
	static const char *const known[] = {"net_af_packet", "net_af_xdp", "net_tap",	"net_memif",	  "net_null",
					    "net_pcap",	     "net_ring",   "net_vhost", "net_virtio_user"};
	char list[256] = "";

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (driver_exists(known[i])) {
			strncat(list, list[0] != '\0' ? ", " : "", sizeof(list) - strlen(list) - 1);
			strncat(list, known[i], sizeof(list) - strlen(list) - 1);
		}
	if (list[0] == '\0')
		return fail(p, -ENODEV, "DPDK's drivers are not in %s; install librte-net-*", RTE_EAL_PMD_PATH);
	return fail(p, -ENODEV, "DPDK has no driver %s; it has %s, or name a PCI device by its address", p->driver, list);
}

static bool may_open_packet_socket(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), error = errno;

	if (fd >= 0)
		close(fd);
	return fd >= 0 || error != EPERM;
}

static bool may_open_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int fail_probe(struct probe *p, int rc)
{
	const char *line = eal_last_line();

	if (p->driver[0] == '\0' && strchr(p->name, ':') == NULL)
		return fail(p, -ENODEV,
			    "\"%s\" is not a device: virtual ones begin with net_, as in net_af_packet0,iface=eth1; PCI ones are "
			    "named by their address, such as 0000:3b:00.0",
			    p->name);
	if (p->driver[0] != '\0' && !driver_exists(p->driver))
		return fail_unknown_driver(p);
	if (p->interface[0] != '\0' && if_nametoindex(p->interface) == 0)
		return fail(p, -ENODEV, "there is no network interface %s in this network namespace (`ip link` lists them)",
			    p->interface);
	if (strcmp(p->driver, "net_af_packet") == 0 && p->interface[0] == '\0')
		return fail(p, -EINVAL, "it needs iface=, the network interface to use");
	if (strncmp(p->driver, "net_af_", 7) == 0 && !may_open_packet_socket())
		return fail(p, -EPERM, "no permission: the card needs CAP_NET_RAW (and CAP_NET_ADMIN, CAP_BPF for net_af_xdp)");
	if (strcmp(p->driver, "net_tap") == 0 && !may_open_tun())
		return fail(p, -EPERM, "no permission: the card needs /dev/net/tun and CAP_NET_ADMIN");
	if (p->driver[0] == '\0')
		return fail(p, rc,
			    "%s%s%s; is it bound to vfio-pci (dpdk-devbind.py -s), and was the card told of it at its start?",
			    rte_strerror(-rc), line[0] != '\0' ? ": " : "", line);
	return fail(p, rc, "%s%s%s", rte_strerror(-rc), line[0] != '\0' ? ": " : "", line);
}

/* ---- the socket behind it ---- */

/* Calls for each descriptor of ours. */
static void each_descriptor(void (*call)(struct probe *p, int fd), struct probe *p)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(folder) && fd < DESCRIPTORS_MAX)
			call(p, fd);
	}
	closedir(folder);
}

static void descriptor_remember(struct probe *p, int fd)
{
	p->descriptors[fd / 8] |= (uint8_t)(1u << fd % 8);
}

static void descriptor_judge(struct probe *p, int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	if ((p->descriptors[fd / 8] & 1u << fd % 8) || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
		return;
	if (domain == AF_PACKET || domain == AF_XDP)
		p->w->wait_fd = fd;
}

static void wait_find(struct probe *p)
{
	struct wire_dpdk *w = p->w;

	if (p->interface[0] != '\0') {
		each_descriptor(descriptor_judge, p);
	} else if (strcmp(p->driver, "net_tap") == 0 || p->driver[0] == '\0') {
		w->wait_fd = rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, 0);
	}
	if (w->wait_fd >= 0)
		w->wait = p->driver[0] != '\0' ? WIRE_WAIT_DATA : WIRE_WAIT_INTERRUPT;
}

/* ---- the port ---- */

/* By name, or else the first one of the device. */
static uint16_t port_named(const struct probe *p)
{
	struct rte_dev_iterator iterator;
	uint16_t port;

	if (rte_eth_dev_get_port_by_name(p->name, &port) == 0)
		return port;
	RTE_ETH_FOREACH_MATCHING_DEV(port, p->arguments, &iterator)
	{
		rte_eth_iterator_cleanup(&iterator);
		break;
	}
	return port;
}

static int port_find(struct probe *p)
{
	uint16_t port;
	int rc;

	if (rte_eth_dev_get_port_by_name(p->name, &port) == 0)
		return fail(p, -EEXIST, "there is a device %s already: give each wire one of its own", p->name);
	eal_forget_line();
	rc = rte_dev_probe(p->arguments);
	if (rc < 0)
		return fail_probe(p, rc);
	port = port_named(p);
	if (port >= RTE_MAX_ETHPORTS)
		return fail(p, -ENODEV, "DPDK took it, but it is no network device");
	p->w->port = port;
	return 0;
}

/* What a sink takes, it takes with and without a tunnel around it. */
static uint32_t sink_offloads(uint64_t device)
{
	uint32_t offloads = SINK_CSUM;

	if ((device & TUNNEL_OFFLOADS) != TUNNEL_OFFLOADS || (device & CHECKSUM_OFFLOADS) != CHECKSUM_OFFLOADS)
		return 0;
	if ((device & RTE_ETH_TX_OFFLOAD_TCP_TSO) && (device & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		offloads |= SINK_TSO4 | SINK_TSO6;
	return offloads;
}

/* Of a packet socket's slots; a driver's default when nothing else was said. */
static unsigned packet_slot_bytes(const struct probe *p)
{
	char slot[16];

	return argument_find(p->arguments, "framesz", slot, sizeof(slot)) ? (unsigned)strtoul(slot, NULL, 10) : PACKET_SLOT_DEFAULT;
}

/* The interface decides what really leaves, and the device what it takes. The af_packet driver says 1500, whatever it is, and takes
 * what fits its slots. */
static int mtu_choose(struct probe *p)
{
	struct wire_dpdk *w = p->w;
	unsigned most, wanted = w->wire.config.mtu;
	uint16_t mtu = 0;
	int rc = 0;

	if (wanted != 0 && p->interface_mtu == 0)
		rc = rte_eth_dev_set_mtu(w->port, (uint16_t)wanted);
	if (rc < 0)
		return fail(p, rc, "it does not take an MTU of %u: %s", wanted, rte_strerror(-rc));
	if (rte_eth_dev_get_mtu(w->port, &mtu) != 0 || mtu == 0)
		mtu = RTE_ETHER_MTU;
	most = mtu;
	if (strcmp(p->driver, "net_af_packet") == 0 && packet_slot_bytes(p) > PACKET_SLOT_HEADER)
		most = RTE_MIN(packet_slot_bytes(p) - PACKET_SLOT_HEADER, UINT16_MAX);
	if (p->interface_mtu > 0 && p->interface_mtu < most)
		most = p->interface_mtu;
	if (wanted > most)
		return fail(p, -EINVAL, "an MTU of %u is more than %s has: %u; raise it there first (ip link set %s mtu %u)",
			    wanted, p->interface, most, p->interface, wanted);
	w->wire.mtu = (uint16_t)(wanted != 0 ? wanted : most);
	w->wire.sink.frame_bytes_max = w->wire.mtu + ETHER_BYTES;
	return 0;
}

static int pool_create(struct probe *p)
{
	uint32_t bytes = RTE_ALIGN_CEIL((uint32_t)p->w->wire.mtu + ETHER_BYTES + 2 * VLAN_BYTES, RTE_CACHE_LINE_SIZE);
	unsigned buffers = strcmp(p->driver, "net_af_packet") == 0 ? BUFFERS_OF_PACKET_SOCKET : BUFFERS;
	char name[RTE_MEMPOOL_NAMESIZE];

	if (packet_slot_bytes(p) > bytes)
		bytes = packet_slot_bytes(p);
	if (bytes < BUFFER_BYTES_MIN)
		bytes = BUFFER_BYTES_MIN;
	if (bytes > UINT16_MAX - RTE_PKTMBUF_HEADROOM)
		return fail(p, -EINVAL, "buffers of %u bytes are not possible", bytes);
	snprintf(name, sizeof(name), "wire%u", p->w->wire.index);
	p->w->pool =
		rte_pktmbuf_pool_create(name, buffers, WIRE_POOL_CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + bytes), SOCKET_ID_ANY);
	if (p->w->pool == NULL)
		return fail(p, -rte_errno, "%u packet buffers of %u bytes cannot be made: %s", buffers, bytes,
			    rte_strerror(rte_errno));
	return 0;
}

static int queues_setup(struct probe *p, const struct rte_eth_conf *conf)
{
	uint16_t receive = WIRE_DESCRIPTORS, transmit = WIRE_DESCRIPTORS, port = p->w->port;
	struct rte_eth_rxconf receive_conf = p->info.default_rxconf;
	struct rte_eth_txconf transmit_conf = p->info.default_txconf;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &receive, &transmit);

	receive_conf.offloads = conf->rxmode.offloads;
	transmit_conf.offloads = conf->txmode.offloads;
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, receive, SOCKET_ID_ANY, &receive_conf, p->w->pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, transmit, SOCKET_ID_ANY, &transmit_conf);
	return rc;
}

static int port_start(struct probe *p)
{
	struct wire_dpdk *w = p->w;
	struct rte_eth_conf conf = {.rxmode = {.mq_mode = RTE_ETH_MQ_RX_NONE}, .txmode = {.mq_mode = RTE_ETH_MQ_TX_NONE}};
	struct rte_ether_addr mac;
	int rc = rte_eth_dev_info_get(w->port, &p->info);

	if (rc < 0)
		return fail(p, rc, "it does not tell what it can do: %s", rte_strerror(-rc));
	w->wire.sink.offloads = sink_offloads(p->info.tx_offload_capa);
	conf.rxmode.offloads = p->info.rx_offload_capa & RECEIVE_CHECKS;
	conf.txmode.offloads = p->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (w->wire.sink.offloads != 0)
		conf.txmode.offloads |=
			p->info.tx_offload_capa & (CHECKSUM_OFFLOADS | TUNNEL_OFFLOADS | RTE_ETH_TX_OFFLOAD_TCP_TSO);
	conf.intr_conf.rxq = strcmp(p->driver, "net_tap") == 0 || p->driver[0] == '\0';
	rc = rte_eth_dev_configure(w->port, 1, 1, &conf);
	if (rc < 0 && conf.intr_conf.rxq) {
		conf.intr_conf.rxq = 0;
		rc = rte_eth_dev_configure(w->port, 1, 1, &conf);
	}
	if (rc < 0)
		return fail(p, rc, "it does not take one queue each way: %s", rte_strerror(-rc));
	rc = mtu_choose(p);
	if (rc == 0)
		rc = pool_create(p);
	if (rc < 0)
		return rc;
	rc = queues_setup(p, &conf);
	if (rc == 0)
		rc = rte_eth_dev_start(w->port);
	if (rc < 0)
		return fail(p, rc, "it does not start: %s%s%s", rte_strerror(-rc), eal_last_line()[0] != '\0' ? ": " : "",
			    eal_last_line());
	w->started = true;
	rc = rte_eth_macaddr_get(w->port, &mac);
	if (rc < 0)
		return fail(p, rc, "it has no MAC address: %s", rte_strerror(-rc));
	memcpy(w->wire.mac.bytes, mac.addr_bytes, sizeof(w->wire.mac.bytes));
	return 0;
}

/* Neighbour discovery is multicast. A packet socket sees what its interface lets in: all of it, so that the wire works also where
 * the interface's own filter knows nothing of us. */
static void filters_open(struct probe *p)
{
	struct wire *wire = &p->w->wire;

	if (!net_address_is_v4(&wire->config.address.address))
		rte_eth_allmulticast_enable(p->w->port);
	if (strcmp(p->driver, "net_af_packet") == 0 || strcmp(p->driver, "net_af_xdp") == 0)
		wire->promiscuous = rte_eth_promiscuous_enable(p->w->port) == 0;
}

int wire_probe(struct wire_dpdk *w, char *error, size_t error_size)
{
	struct probe p = {.w = w, .error = error, .error_size = error_size};
	int rc;

	p.descriptors = calloc(1, DESCRIPTORS_MAX / 8);
	if (p.descriptors == NULL)
		return fail(&p, -ENOMEM, "no memory");
	each_descriptor(descriptor_remember, &p);
	name_read(&p);
	rc = port_find(&p);
	if (rc == 0)
		rc = port_start(&p);
	if (rc == 0) {
		filters_open(&p);
		wait_find(&p);
		w->wire.offload = &wire_offload_rte_flow;
		log_info("wire %u: %s, %s, MTU %u%s", w->wire.index, w->wire.config.device, p.info.driver_name, w->wire.mtu,
			 w->wait == WIRE_WAIT_NONE ? ", polled" : "");
	}
	free(p.descriptors);
	return rc;
}

void wire_release(struct wire_dpdk *w)
{
	struct rte_eth_dev_info info;

	if (w->port < RTE_MAX_ETHPORTS) {
		if (w->started)
			rte_eth_dev_stop(w->port);
		if (rte_eth_dev_info_get(w->port, &info) == 0 && info.device != NULL) {
			struct rte_device *device = info.device;

			rte_eth_dev_close(w->port);
			rte_dev_remove(device);
		}
	}
	rte_mempool_free(w->pool);
	if (w->link_fd >= 0)
		close(w->link_fd);
}
