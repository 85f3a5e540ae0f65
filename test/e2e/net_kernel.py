#!/usr/bin/python3
"""The Linux kernel as another host of the VPC: its vxlan device in a namespace, and its geneve device in a guest, on the card's wire.

Each side knows by static entries where the other one is, as a VPC's mapping does. What is on the wire is looked at with scapy as well.
"""
import hashlib
import os
import random
import shutil
import sys
import tempfile
import unittest

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import guest
import network
import outboard
import tap
from network import MIB

VNI = 4242
TAP, REMOTE = 10, 20  # last numbers of the overlay's addresses, and of its MAC addresses
TAP_MAC, REMOTE_MAC = "02:00:0a:00:01:0a", "02:00:0a:00:01:14"
OUTER_BYTES = {4: 50, 6: 70}  # Ethernet of the inner frame, VXLAN or Geneve, UDP, IP
TUNNELS = {"vxlan": (VXLAN, 4789), "geneve": (GENEVE, 6081)}


LOOKED_AT = 150  # frames of a run: scapy is slow


def flow_of(inner):
    """Addresses and ports, or what an echo is told apart by; fragments are a flow for themselves, known by their number."""
    ip = inner[IP] if IP in inner else inner[IPv6]
    fragment = (ip if ip.flags.MF or ip.frag else None) if IP in inner else inner.getlayer(IPv6ExtHdrFragment)
    if fragment is not None:
        return (ip.src, ip.dst, "fragment", fragment.id)
    l4 = inner.getlayer(TCP) or inner.getlayer(UDP)
    if l4 is not None:
        return (ip.src, ip.dst, type(l4).__name__, l4.sport, l4.dport)
    echo = next((inner[kind] for kind in (ICMP, ICMPv6EchoRequest, ICMPv6EchoReply) if kind in inner), None)
    return (ip.src, ip.dst, echo and echo.id)


class Overlay(unittest.TestCase):
    """A card with one ENI, a tap in namespace `inside`; its wire's other end in namespace `outside`."""
    underlay, encapsulation, mtu = 4, "vxlan", 1500
    card_address, remote_address, length = "192.0.2.1", "192.0.2.2", 24

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="outboard-kernel-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.middle, cls.outside, cls.inside = (cls.namespace(name) for name in ("card", "outside", "inside"))
        network.link(cls.middle, "wire", cls.outside, "host", cls.mtu)
        cls.card = network.Card(cls.folder, cls.middle, [f"address={cls.card_address}/{cls.length};device=net_af_packet0,iface=wire"])
        cls.addClassCleanup(cls.card.stop)
        cls.card.load(hosts=[{"name": "remote", "address": cls.remote_address}], **network.vpc(
            enis=[("here", TAP, {}), ("there", REMOTE, {"host": "remote"})], vni=VNI, encapsulation=cls.encapsulation))
        cls.card.attach_tap("here", cls.inside)
        cls.card.wait_eni("here")
        network.settle(cls.inside, TAP)
        cls.set_up_remote()

    @classmethod
    def namespace(cls, label):
        made = network.Namespace(label)
        cls.addClassCleanup(made.delete)
        return made

    @classmethod
    def inner_mtu(cls):
        return cls.mtu - OUTER_BYTES[cls.underlay]

    def check_wire(self, frames):
        """Both ways: an overlay frame of this VNI, whose outer header is right; a flow has one source port. The flows."""
        layer, port = TUNNELS[self.encapsulation]
        outer = IP if self.underlay == 4 else IPv6
        ports = {}
        self.assertLessEqual(max(map(len, frames)), self.mtu + 14)
        for frame in frames[:LOOKED_AT // 2] + frames[LOOKED_AT // 2::len(frames) // LOOKED_AT + 1]:
            packet = Ether(frame)
            if UDP not in packet or packet[UDP].dport != port:
                continue  # ARP, neighbour discovery
            sent = (self.card_address, self.remote_address)
            self.assertIn((packet[outer].src, packet[outer].dst), (sent, sent[::-1]))
            self.check_outer(packet, outer)
            self.assertEqual(packet[layer].vni, VNI)
            inner = Ether(bytes(packet[layer].payload))
            if packet[outer].src == self.card_address:
                self.assertEqual((inner.src, inner.dst), (TAP_MAC, REMOTE_MAC))
                self.assertGreaterEqual(packet[UDP].sport, 49152)
                ports.setdefault(flow_of(inner), set()).add(packet[UDP].sport)
        self.assertTrue(ports, "nothing of the card's was on the wire")
        for flow, found in ports.items():
            self.assertEqual(len(found), 1, f"source ports of {flow}")
        return ports

    def check_outer(self, packet, outer):
        again = packet.copy()
        del again[outer].len, again[UDP].len
        if outer is IP:
            del again[IP].chksum
            self.assertGreater(packet[IP].ttl, 1)
        else:
            self.assertGreater(packet[IPv6].hlim, 1)
        if packet[UDP].chksum != 0:
            del again[UDP].chksum
        self.assertEqual(Ether(bytes(again)), packet, "lengths and checksums")


class Vxlan(Overlay):
    """The other host is namespace `outside`."""
    words = ()

    @classmethod
    def set_up_remote(cls):
        outside = cls.outside
        outside.address("host", f"{cls.remote_address}/{cls.length}")
        outside.run("ip", "link", "add", "overlay", "address", REMOTE_MAC, "mtu", str(cls.inner_mtu()), "type", "vxlan", "id", str(VNI),
                    "dstport", "4789", "local", cls.remote_address, "remote", cls.card_address, "nolearning", *cls.words)
        outside.run("ip", "link", "set", "overlay", "up")
        outside.address("overlay", f"10.0.1.{REMOTE}/24", f"fd00:1::{REMOTE}/64")
        for address in (f"10.0.1.{TAP}", f"fd00:1::{TAP}"):
            outside.run("ip", "neighbour", "replace", address, "lladdr", TAP_MAC, "dev", "overlay", "nud", "permanent")
        cls.inside.run("ip", "link", "set", "eth0", "mtu", str(cls.inner_mtu()))
        network.wait_ping(cls.inside, f"10.0.1.{REMOTE}")

    addresses = {"inside": (f"10.0.1.{TAP}", f"fd00:1::{TAP}"), "outside": (f"10.0.1.{REMOTE}", f"fd00:1::{REMOTE}")}

    def ways(self):
        for source, destination in ((self.inside, self.outside), (self.outside, self.inside)):
            for address in self.addresses["outside" if destination is self.outside else "inside"]:
                with network.sniff(self.outside, "host", sent=True) as frames:
                    yield source, destination, address
                self.check_wire(frames)

    def test_mtu_is_what_the_wire_leaves(self):
        self.assertEqual(int(self.inside.run("cat", "/proc/sys/net/ipv6/conf/eth0/mtu")), self.inner_mtu())

    def test_ping(self):
        for source, _, address in self.ways():
            network.ping(source, address)
            network.ping(source, address, "-s", str(self.inner_mtu() - 48))
            network.ping(source, address, "-s", "20000")  # the overlay's packets are fragments

    def test_tcp(self):
        for number, (source, destination, address) in enumerate(self.ways()):
            network.transfer(source, destination, address, 5000 + number, size=4 * MIB)

    def test_udp(self):
        for source, destination, address in self.ways():
            network.exchange(source, destination, address, sizes=(0, 1, 100, self.inner_mtu() - 48, 8000))

    def test_flows_have_source_ports_of_their_own(self):
        with network.sniff(self.outside, "host") as frames:
            for port in range(6000, 6032):
                network.exchange(self.inside, self.outside, f"10.0.1.{REMOTE}", port, sizes=(10,))
        ports = self.check_wire(frames)
        self.assertEqual(len(ports), 32)
        self.assertGreater(len({port for found in ports.values() for port in found}), 16, "of 16384, by a hash")

    def test_congestion_is_carried(self):
        """ECN of the inner packet is that of the outer one (RFC 6040); what the wire marks arrives (the kernel does the same)."""
        with network.sniff(self.outside, "host") as frames, self.inside.socket(kind=network.DATAGRAM) as s:
            for ecn in (0, 1, 2):
                s.setsockopt(0, 1, ecn)  # IP_TOS
                s.sendto(b"x", (f"10.0.1.{REMOTE}", 9))
        seen = [(Ether(f)[IP].tos & 3, Ether(bytes(Ether(f)[VXLAN].payload))[IP].tos & 3) for f in frames if VXLAN in Ether(f)]
        self.assertEqual([s for s in seen if s[0] == s[1]], seen)
        self.assertEqual({outer for outer, _ in seen}, {0, 1, 2})

    def test_another_vni_is_not_ours(self):
        before = self.card.stats()["network"]["drops"].get("unknown_vni", 0)
        self.outside.run("ip", "link", "add", "other", "address", REMOTE_MAC, "type", "vxlan", "id", "4243", "dstport", "4789",
                         "local", self.remote_address, "remote", self.card_address, "nolearning", *self.words)
        self.addCleanup(self.outside.run, "ip", "link", "delete", "other")
        self.outside.run("ip", "link", "set", "other", "up")
        self.outside.address("other", "10.9.0.1/24")
        self.outside.run("ip", "neighbour", "replace", "10.9.0.2", "lladdr", TAP_MAC, "dev", "other", "nud", "permanent")
        with network.sniff(self.inside, "eth0") as frames:
            network.ping(self.outside, "10.9.0.2", check=False)
            outboard.wait_for("the drop", lambda: self.card.stats()["network"]["drops"].get("unknown_vni", 0) > before)
        self.assertEqual([f for f in frames if b"\x0a\x09\0\x02" in f], [])


class VxlanJumbo(Vxlan):
    """Frames of 9000 bytes, in a wire of as many."""
    mtu = 9000


class VxlanOverIPv6(Vxlan):
    """The card sends no outer UDP checksum (RFC 6935), which the kernel takes when it is told to."""
    underlay = 6
    card_address, remote_address, length = "2001:db8::1", "2001:db8::2", 64
    words = ("udp6zerocsumrx", "udp6zerocsumtx")

    test_congestion_is_carried = None  # it looks at IPv4's header


class Geneve(Overlay):
    """The other host is a guest: the kernel of this machine has no geneve device, Debian's has one. Its NIC is a tap in namespace
    `outside`, bridged to the wire. It leaves checksums and segmentation to nobody, as a wire would."""
    encapsulation = "geneve"

    @classmethod
    def set_up_remote(cls):
        outside = cls.outside
        outside.run("ip", "link", "add", "bridge", "type", "bridge")
        outside.run("ip", "tuntap", "add", "guest", "mode", "tap")
        for name in ("host", "guest"):
            outside.run("ip", "link", "set", name, "master", "bridge", "up")
        outside.run("ip", "link", "set", "bridge", "up")
        plain = "csum=off,gso=off,host_tso4=off,host_tso6=off,host_ufo=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ufo=off"
        cls.guest = guest.Guest(os.path.join(cls.folder, "guest"), [], "-netdev", "tap,id=w,ifname=guest,script=no,downscript=no", "-device",
                                f"virtio-net-pci,netdev=w,mac=02:00:00:00:00:02,romfile=,{plain}", prefix=outside.prefix)
        cls.addClassCleanup(cls.guest.kill_9)
        cls.guest.run(f"""
while read -r module; do insmod /modules/$module 2>/dev/null || true; done </modules/tunnel
ip address add {cls.remote_address}/{cls.length} dev eth0
ip link set eth0 up
/sbin/ip link add overlay address {REMOTE_MAC} mtu {cls.inner_mtu()} type geneve id {VNI} remote {cls.card_address}
ip link set overlay up
ip address add 10.0.1.{REMOTE}/24 dev overlay
/sbin/ip address add fd00:1::{REMOTE}/64 dev overlay nodad
/sbin/ip neighbour replace 10.0.1.{TAP} lladdr {TAP_MAC} dev overlay nud permanent
/sbin/ip neighbour replace fd00:1::{TAP} lladdr {TAP_MAC} dev overlay nud permanent""")
        network.wait_ping(cls.inside, f"10.0.1.{REMOTE}")

    def ways(self):
        for address in (f"10.0.1.{REMOTE}", f"fd00:1::{REMOTE}"):
            with network.sniff(self.outside, "host", sent=True) as frames:
                yield address, address.replace(str(REMOTE), str(TAP))
            self.check_wire(frames)

    def test_ping(self):
        for there, here in self.ways():
            for size in (0, 56, self.inner_mtu() - 48, 8000):
                network.ping(self.inside, there, "-s", str(size))
                self.guest.run(f"ping -c 1 -s {size} {here}")

    def test_tcp_to_the_guest(self):
        data = random.randbytes(4 * MIB)
        for there, _ in self.ways():
            self.guest.start("sink", "nc -l -p 5000 | sha256sum")
            outboard.wait_for("the guest to listen", lambda: self.guest.try_run("netstat -ltn | grep -q :5000")[0] == 0)
            with network.connect(self.inside, there, 5000) as s:
                s.sendall(data)
            self.assertEqual(self.guest.finish("sink").split()[0], hashlib.sha256(data).hexdigest())

    def test_tcp_from_the_guest(self):
        for _, here in self.ways():
            listener = network.Listener(self.inside, here, 5000)
            digest = self.guest.run(f"head -c 4m /dev/urandom >/tmp/d; sha256sum </tmp/d; nc {here} 5000 </tmp/d").split()[0]
            self.assertEqual(listener.finish(), digest)
            self.assertEqual(listener.bytes, 4 * MIB)

    def test_udp(self):
        for there, here in self.ways():
            with self.inside.socket(network.family_of(here), network.DATAGRAM) as s:
                s.bind((here, 7000))
                self.guest.start("ask", f"traceroute{'6' if ':' in here else ''} -p 6999 -q 1 -m 1 -w 5 {here} 1000")
                data, sender = s.recvfrom(2000)
                self.assertEqual(sender[0], there)
                self.assertGreater(len(data), 900)
                s.sendto(data, sender)
                self.guest.finish("ask")


del Overlay

if __name__ == "__main__":
    tap.main()
