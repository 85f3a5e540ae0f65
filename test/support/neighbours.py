"""Bad neighbours of an ENI, as bench/noisy-net and test/e2e/net_noisy.py have them. Each is the command line of a process.

VICTIMS talk to each other; BAD sends to SINK, to CLOSED, which lets nobody in, and to addresses that nobody has. All are in one subnet.
"""
import ctypes
import mmap
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vhost_user

VICTIMS, BAD, SINK, CLOSED = ("victim1", "victim2"), "bad", "sink", "closed"
NUMBERS = {"victim1": 10, "victim2": 11, BAD: 20, SINK: 21, CLOSED: 22}  # last ones of their addresses
NOBODY = "10.0.128.1"
FLOWS_MAX, NEW_FLOWS_PER_S = 1000, 5000
KINDS = {  # more options of the load client, and whether SINK's end is its second one
    "flood": ((), True),
    "syn-storm": (("--protocol", "tcp", "--flows", "10000", "--new-flows", "200000"), True),
    "new-destinations": (("--destination-ip", NOBODY, "--spread", "destination", "--flows", "16000"), False),
    "denied": (("--destination-ip", f"10.0.1.{NUMBERS[CLOSED]}", "--spread", "port", "--flows", "100000"), False),
    "kick-storm": (None, False),
}


def objects():
    """What to load."""
    anywhere = [{"direction": direction, "protocol": "all", "cidr": "0.0.0.0/0"} for direction in ("egress", "ingress")]
    return {
        "vpcs": [{"name": "v", "cidrs": ["10.0.0.0/16"]}],
        "subnets": [{"name": "s", "vpc": "v", "cidr": "10.0.0.0/16"}],
        "security_groups": [{"name": "open", "vpc": "v", "rules": anywhere}, {"name": "shut", "vpc": "v", "rules": anywhere[:1]}],
        "enis": [{"name": name, "subnet": "s", "addresses": [f"10.0.1.{number}"], "security_groups": ["shut" if name == CLOSED else "open"],
                  **({"flows_max": FLOWS_MAX, "new_flows_per_s": NEW_FLOWS_PER_S} if name == BAD else {})} for name, number in NUMBERS.items()],
    }


def command(kind, outboard, sockets, seconds):
    """`outboard`: the executable; `sockets`: of BAD and SINK."""
    options, both = KINDS[kind]
    if options is None:
        return [sys.executable, os.path.abspath(__file__), sockets[BAD]]
    words = [outboard, "bench", "net", sockets[BAD], *([sockets[SINK]] if both else []), "--json", "--dhcp", "--duration", str(seconds)]
    if "--destination-ip" not in options:
        return [*words, *options]
    words.remove("--dhcp")  # which would ask for the destination
    return [*words, "--source-ip", f"10.0.1.{NUMBERS[BAD]}", "--gateway-mac", "0e:00:00:00:00:01", *options]


class Kicker(vhost_user.Front):
    """A NIC with empty rings, that is told all the time of packets that are not there."""
    BYTES, ENTRIES, GUEST, USER, QUEUE = 1 << 20, 16, 0x40000000, 0x7f0000000000, 0x4000

    def __init__(self, path):
        super().__init__(path)
        self.memory_fd = os.memfd_create("guest")
        os.ftruncate(self.memory_fd, self.BYTES)
        self.memory = mmap.mmap(self.memory_fd, self.BYTES)
        features = struct.unpack("=Q", self.ask(vhost_user.GET_FEATURES))[0]
        self.send(vhost_user.SET_PROTOCOL_FEATURES, struct.pack("=Q", 0))
        self.send(vhost_user.SET_OWNER)
        self.send(vhost_user.SET_FEATURES, struct.pack("=Q", features & (vhost_user.F_VERSION_1 | vhost_user.F_PROTOCOL_FEATURES)))
        self.send(vhost_user.SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, self.GUEST, self.BYTES, self.USER, 0), [self.memory_fd])
        self.kicks = [self.start(index) for index in range(2)]

    def start(self, index):
        base, kick = self.USER + index * self.QUEUE, os.eventfd(0)
        self.send(vhost_user.SET_VRING_NUM, struct.pack("=II", index, self.ENTRIES))
        self.send(vhost_user.SET_VRING_BASE, struct.pack("=II", index, 0))
        self.send(vhost_user.SET_VRING_ADDR, struct.pack("=IIQQQQ", index, 0, base, base + 0x2000, base + 0x1000, 0))
        self.send(vhost_user.SET_VRING_CALL, struct.pack("=Q", index), [os.eventfd(0)])
        self.send(vhost_user.SET_VRING_KICK, struct.pack("=Q", index), [kick])
        self.send(vhost_user.SET_VRING_ENABLE, struct.pack("=II", index, 1))
        return kick

    def storm(self):
        write, one = ctypes.CDLL(None).write, (1).to_bytes(8, "little")
        while True:
            for kick in self.kicks:
                write(kick, one, 8)


if __name__ == "__main__":
    Kicker(sys.argv[1]).storm()
