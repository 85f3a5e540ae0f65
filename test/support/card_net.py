"""Networks for a card that is told of them as control would (src/card/command.h): objects by id; and a NIC's driver that can be hostile."""
import mmap
import os
import select
import struct
import uuid

import vhost_user
from vhost_user import Front

EVERYWHERE = ("0.0.0.0/0", "::/0")


def change(kind, identity, **fields):
    """What net_apply takes; no fields: the object is deleted."""
    return {"kind": kind, "id": identity, "object": {"id": identity, **fields} if fields else None}


def new_id():
    return str(uuid.uuid4())


def rule(direction, cidr, **fields):
    return {"direction": direction, "protocol": "all", "cidr": cidr, **fields}


class Vpc:
    """A VPC of one subnet and one security group, which lets everything through at first."""

    def __init__(self, name="v", vni=4096, **fields):
        self.name, self.id, self.subnet, self.group = name, new_id(), new_id(), new_id()
        self.fields = {"cidrs": ["10.0.0.0/16", "fd00:1::/64"], "vni": vni, "encapsulation": "vxlan", **fields}
        self.rules = [rule(direction, block) for direction in ("ingress", "egress") for block in EVERYWHERE]
        self.enis = {}

    def eni(self, number, **fields):
        """The change that makes ENI `number`: 10.0.1.number, fd00:1::number, 02:...:number. Its id stays the same."""
        identity = self.enis.setdefault(number, new_id())
        return change("eni", identity, **{"name": f"{self.name}{number}", "subnet": self.subnet, "mac": f"02:00:00:00:00:{number:02x}",
                                          "addresses": [f"10.0.1.{number}", f"fd00:1::{number}"], "security_groups": [self.group],
                                          **fields})

    def group_change(self):
        return change("security-group", self.group, name=f"{self.name}-group", vpc=self.id, rules=self.rules)

    def changes(self, *numbers):
        return [change("vpc", self.id, name=self.name, **self.fields),
                change("subnet", self.subnet, name=f"{self.name}-subnet", vpc=self.id, cidr="10.0.1.0/24", cidr6="fd00:1::/64"),
                self.group_change(), *(self.eni(n) for n in numbers)]


class Nic(Front):
    """A virtio-net driver with split rings of one descriptor a buffer, all in one shared memory: see the offsets."""
    ENTRIES, GUEST, USER = 16, 0x40000000, 0x7f0000000000
    RING_BYTES, DESC, AVAIL, USED, BUFFERS, BUFFER_BYTES, BYTES = 0x4000, 0, 0x1000, 0x2000, 0x10000, 0x1000, 1 << 20
    RECEIVE, TRANSMIT, HEADER_BYTES = 0, 1, 12

    def __init__(self, path):
        super().__init__(path)
        self.memory_fd = os.memfd_create("guest")
        os.ftruncate(self.memory_fd, self.BYTES)
        self.memory = mmap.mmap(self.memory_fd, self.BYTES)
        self.kicks, self.calls = ([os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)] for _ in range(2))
        self.made, self.seen = [0, 0], [0, 0]  # a ring: buffers made available; used ones that were looked at
        self.features = struct.unpack("=Q", self.ask(vhost_user.GET_FEATURES))[0]
        self.send(vhost_user.SET_PROTOCOL_FEATURES, struct.pack("=Q", 1 << 3 | 1 << 9))  # REPLY_ACK, CONFIG
        self.send(vhost_user.SET_OWNER)
        wanted = vhost_user.F_VERSION_1 | vhost_user.F_PROTOCOL_FEATURES | 1 << 5 | 1 << 15 | 1 << 16  # MAC, MRG_RXBUF, STATUS
        self.send(vhost_user.SET_FEATURES, struct.pack("=Q", self.features & wanted))
        self.send(vhost_user.SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, self.GUEST, self.BYTES, self.USER, 0), [self.memory_fd])
        for ring in (self.RECEIVE, self.TRANSMIT):
            self.start_ring(ring)
        if not self.alive():  # and by now everything above was done
            raise ConnectionResetError("the back end closed the connection")

    def start_ring(self, ring):
        at = self.USER + ring * self.RING_BYTES
        self.send(vhost_user.SET_VRING_NUM, struct.pack("=II", ring, self.ENTRIES))
        self.send(vhost_user.SET_VRING_BASE, struct.pack("=II", ring, 0))
        self.send(vhost_user.SET_VRING_ADDR, struct.pack("=IIQQQQ", ring, 0, at + self.DESC, at + self.USED, at + self.AVAIL, 0))
        self.send(vhost_user.SET_VRING_CALL, struct.pack("=Q", ring), [self.calls[ring]])
        self.send(vhost_user.SET_VRING_KICK, struct.pack("=Q", ring), [self.kicks[ring]])
        self.send(vhost_user.SET_VRING_ENABLE, struct.pack("=II", ring, 1))

    def config(self):
        return self.ask(vhost_user.GET_CONFIG, struct.pack("=III", 0, 12, 0) + bytes(12))[12:]

    def buffer(self, ring, index):
        return self.BUFFERS + (ring * self.ENTRIES + index) * self.BUFFER_BYTES

    def set_available(self, ring, index):
        """The index itself: for indices that no driver would write."""
        struct.pack_into("=H", self.memory, ring * self.RING_BYTES + self.AVAIL + 2, index & 0xffff)
        os.eventfd_write(self.kicks[ring], 1)

    def make_available(self, ring, size, address=None):
        index = self.made[ring] % self.ENTRIES
        at = ring * self.RING_BYTES
        address = self.GUEST + self.buffer(ring, index) if address is None else address
        struct.pack_into("=QIHH", self.memory, at + self.DESC + 16 * index, address, size, 2 if ring == self.RECEIVE else 0, 0)
        struct.pack_into("=H", self.memory, at + self.AVAIL + 4 + 2 * index, index)
        self.made[ring] += 1
        self.set_available(ring, self.made[ring])

    def post_buffers(self, count=8):
        for _ in range(count):
            self.make_available(self.RECEIVE, self.BUFFER_BYTES)

    def transmit(self, frame, header=bytes(HEADER_BYTES)):
        at = self.buffer(self.TRANSMIT, self.made[self.TRANSMIT] % self.ENTRIES)
        self.memory[at:at + len(header) + len(frame)] = header + frame
        self.make_available(self.TRANSMIT, len(header) + len(frame))

    def used(self, ring):
        return struct.unpack_from("=H", self.memory, ring * self.RING_BYTES + self.USED + 2)[0]

    def wait_used(self, ring):
        """The next used element: (descriptor, bytes written)."""
        while self.used(ring) == self.seen[ring] & 0xffff:
            if not select.select([self.calls[ring]], [], [], vhost_user.PATIENCE_S)[0]:
                raise AssertionError("a buffer was never given back")
            os.eventfd_read(self.calls[ring])
        element = ring * self.RING_BYTES + self.USED + 4 + 8 * (self.seen[ring] % self.ENTRIES)
        self.seen[ring] += 1
        return struct.unpack_from("=II", self.memory, element)

    def receive_frame(self):
        index, size = self.wait_used(self.RECEIVE)
        at = self.buffer(self.RECEIVE, index)
        return self.memory[at + self.HEADER_BYTES:at + size]

    def close(self):
        if self.memory.closed:
            return
        super().close()
        self.memory.close()
        for fd in (self.memory_fd, *self.kicks, *self.calls):
            os.close(fd)


def udp(source, destination, payload=b"hello", port=4000):
    """An Ethernet frame with a UDP datagram from 10.0.1.source to 10.0.1.destination, without checksum."""
    ethernet = bytes((2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0))
    ip = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, 10, 0, 1, source, 10, 0, 1, destination)
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + ip[12:]
    return ethernet + ip + struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload
