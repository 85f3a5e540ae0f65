/* Making a tap interface as a request says. Runs in the helper process only. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/packet.h"
#include "card/tap_opener.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t error_size, int rc, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error, error_size, format, list);
	va_end(list);
	return rc;
}

/* ---- what is asked for ---- */

/* As the kernel's dev_valid_name() has it, and no '%', which it would expand. */
static bool name_is_valid(const char *name, size_t size)
{
	size_t length = strnlen(name, size);

	if (length == 0 || length >= size || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isgraph((unsigned char)name[i]) || strchr("/:%", name[i]) != NULL)
			return false;
	return true;
}

static bool netns_is_valid(const char *netns)
{
	size_t length = strnlen(netns, TAP_NETNS_SIZE);

	if (length >= TAP_NETNS_SIZE)
		return false;
	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)netns[i]))
			return false;
	if (netns[0] == '/')
		return true;
	return strchr(netns, '/') == NULL && strcmp(netns, ".") != 0 && strcmp(netns, "..") != 0;
}

int tap_request_check(const struct tap_request *r, char *error, size_t error_size)
{
	static const struct mac none;

	if (!name_is_valid(r->name, sizeof(r->name)))
		return fail(error, error_size, -EINVAL,
			    "the tap must be named as an interface can be: 1 to %d printable characters without / : and %%",
			    IFNAMSIZ - 1);
	if (!netns_is_valid(r->netns))
		return fail(error, error_size, -EINVAL,
			    "the network namespace must be a name below /run/netns or an absolute path");
	if ((r->mac.bytes[0] & 1) != 0 || mac_equal(&r->mac, &none))
		return fail(error, error_size, -EINVAL, "the MAC address must be a unicast one");
	if (r->mtu < TAP_MTU_MIN || r->mtu > TAP_MTU_MAX)
		return fail(error, error_size, -EINVAL, "the MTU must be from %d to %d", TAP_MTU_MIN, TAP_MTU_MAX);
	return 0;
}

/* ---- namespaces ---- */

/* First without opening it (O_PATH), so that a path to anything else has no effect. */
static int open_netns(const char *netns, char *error, size_t error_size)
{
	char path[TAP_NETNS_SIZE + 16], again[32];
	struct statfs fs;
	int place, fd;

	snprintf(path, sizeof(path), "%s%s", netns[0] == '/' ? "" : "/run/netns/", netns);
	place = open(path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return fail(error, error_size, -errno, "the network namespace %s cannot be opened: %s", path, strerror(errno));
	if (fstatfs(place, &fs) != 0 || fs.f_type != NSFS_MAGIC) {
		close(place);
		return fail(error, error_size, -EINVAL, "%s is no network namespace", path);
	}
	snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
	fd = open(again, O_RDONLY | O_CLOEXEC);
	close(place);
	if (fd < 0)
		return fail(error, error_size, -errno, "the network namespace %s cannot be opened: %s", path, strerror(errno));
	if (ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET)
		return fd;
	close(fd);
	return fail(error, error_size, -EINVAL, "%s is a namespace, but not of a network", path);
}

/* ---- the interface ---- */

/* UDP segmentation came with Linux 6.2; without the other offloads there is no kernel that we run on. */
static int set_offloads(int fd, uint32_t *offloads)
{
	const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	*offloads = SINK_CSUM | SINK_TSO4 | SINK_TSO6 | SINK_USO;
	if (ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) == 0)
		return 0;
	*offloads = SINK_CSUM | SINK_TSO4 | SINK_TSO6;
	return ioctl(fd, TUNSETOFFLOAD, tcp) == 0 ? 0 : -errno;
}

static int set_address(int socket, const struct tap_request *r)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, r->name, sizeof(ifr.ifr_name));
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, r->mac.bytes, sizeof(r->mac.bytes));
	if (ioctl(socket, SIOCSIFHWADDR, &ifr) != 0)
		return -errno;
	ifr.ifr_mtu = r->mtu;
	if (ioctl(socket, SIOCSIFMTU, &ifr) != 0)
		return -errno;
	if (ioctl(socket, SIOCGIFFLAGS, &ifr) != 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(socket, SIOCSIFFLAGS, &ifr) != 0 ? -errno : 0;
}

/* In the namespace that we are in. */
static int make_interface(const struct tap_request *r, uint32_t *offloads, char *error, size_t error_size)
{
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL)};
	int header = TAP_HEADER_BYTES, fd, control, rc;

	memcpy(ifr.ifr_name, r->name, sizeof(ifr.ifr_name));
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(error, error_size, -errno, "/dev/net/tun cannot be opened: %s", strerror(errno));
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		rc = fail(error, error_size, -errno, "the tap %s cannot be made: %s", r->name,
			  errno == EBUSY || errno == EEXIST ? "an interface of that name is there already"
			  : errno == EPERM		    ? "the card was started without CAP_NET_ADMIN"
							    : strerror(errno));
		close(fd);
		return rc;
	}
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = control < 0 ? -errno : ioctl(fd, TUNSETVNETHDRSZ, &header) != 0 ? -errno : set_offloads(fd, offloads);
	if (rc == 0)
		rc = set_address(control, r);
	if (control >= 0)
		close(control);
	if (rc == 0)
		return fd;
	close(fd);
	return fail(error, error_size, rc, "the tap %s cannot be configured: %s", r->name, strerror(-rc));
}

int tap_request_open(const struct tap_request *r, uint32_t *offloads, char *error, size_t error_size)
{
	int home, there, fd = tap_request_check(r, error, error_size);

	if (fd < 0)
		return fd;
	if (r->netns[0] == '\0')
		return make_interface(r, offloads, error, error_size);
	there = open_netns(r->netns, error, error_size);
	if (there < 0)
		return there;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0) {
		fd = fail(error, error_size, -errno, "our own network namespace cannot be opened: %s", strerror(errno));
	} else if (setns(there, CLONE_NEWNET) != 0) {
		fd = fail(error, error_size, -errno, "the network namespace %s cannot be entered: %s", r->netns,
			  errno == EPERM ? "the card was started without CAP_SYS_ADMIN" : strerror(errno));
	} else {
		fd = make_interface(r, offloads, error, error_size);
		if (setns(home, CLONE_NEWNET) != 0) { /* the next request would be carried out in the wrong place */
			log_error("the tap helper cannot return to its network namespace: %s", strerror(errno));
			_exit(1);
		}
	}
	if (home >= 0)
		close(home);
	close(there);
	return fd;
}
