#!/usr/bin/python3
"""vpc.md: "DHCPv4/v6 ... are answered by the card". RFC 2131, 2132, 3442, 6842; RFC 8415, 3646. All fields, all options."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers import dhcp6 as d6  # noqa: E402
from scapy.layers.dhcp import BOOTP, DHCP  # noqa: E402

A = ENIS["a"]
BROADCAST = "ff:ff:ff:ff:ff:ff"
HARDWARE = bytes.fromhex(A.mac.replace(":", ""))
XID = 0x12345678


class Dhcp4(Case):
    def ask(self, *options, ciaddr="0.0.0.0", flags=0, source="0.0.0.0", to="255.255.255.255", mac=BROADCAST, **bootp):
        fields = dict(op=1, htype=1, hlen=6, xid=XID, ciaddr=ciaddr, flags=flags, secs=3, chaddr=HARDWARE)
        return self.send("a", Ether(src=A.mac, dst=mac) / IP(src=source, dst=to) / UDP(sport=68, dport=67) /
                         BOOTP(**dict(fields, **bootp)) / DHCP(options=[*options, "end"]))

    def said(self, answer, mac=A.mac, to=A.ip):
        """(BOOTP, options in their order) of the one answer, whose headers are as they must be."""
        frame = self.answered(answer, "a")
        self.assertEqual((frame.dst, frame.src), (mac, GATEWAY_MAC))
        ip = frame[IP]
        self.assertEqual((ip.src, ip.dst, ip.ttl, ip.tos, ip.flags, ip.frag), ("10.0.1.1", to, 64, 0, "DF", 0))
        self.assertEqual((frame[UDP].sport, frame[UDP].dport), (67, 68))
        bootp = frame[BOOTP]
        self.assertEqual((bootp.op, bootp.htype, bootp.hlen, bootp.hops, bootp.xid, bootp.secs),
                         (2, 1, 6, 0, XID, 0))
        self.assertEqual((bootp.siaddr, bootp.giaddr, bootp.sname, bootp.file), ("0.0.0.0", "0.0.0.0", b"\0" * 64, b"\0" * 128))
        self.assertEqual(bootp.chaddr, HARDWARE + b"\0" * 10)
        self.assertGreaterEqual(len(bytes(bootp)), 300)  # RFC 1542, 2.1
        options = [o for o in frame[DHCP].options if o != "pad"]
        self.assertEqual(options.pop(), "end")
        return bootp, options

    LEASE = [("lease_time", 3600), ("renewal_time", 1800), ("rebinding_time", 3150)]

    @staticmethod
    def parameters(mtu=1450, domain=b"internal"):
        return [("subnet_mask", "255.255.255.0"), ("router", "10.0.1.1"), ("name_server", "169.254.169.253"), ("hostname", b"a"),
                ("domain", domain), ("interface-mtu", mtu)]

    @staticmethod
    def kind(name):
        return [("message-type", {"offer": 2, "ack": 5, "nak": 6}[name]), ("server_id", "10.0.1.1")]

    def test_discover(self):
        bootp, options = self.said(self.ask(("message-type", "discover")))
        self.assertEqual((bootp.yiaddr, bootp.ciaddr, bootp.flags), (A.ip, "0.0.0.0", 0))
        self.assertEqual(options, self.kind("offer") + self.LEASE + self.parameters())

    def test_discover_by_broadcast(self):
        """RFC 2131, 4.1: who cannot take unicast yet says so."""
        bootp, options = self.said(self.ask(("message-type", "discover"), flags=0x8000), BROADCAST, "255.255.255.255")
        self.assertEqual((bootp.yiaddr, bootp.flags), (A.ip, 0x8000))
        self.assertEqual(options[:2], self.kind("offer"))

    def test_request_after_offer(self):
        bootp, options = self.said(self.ask(("message-type", "request"), ("server_id", "10.0.1.1"), ("requested_addr", A.ip)))
        self.assertEqual((bootp.yiaddr, bootp.ciaddr), (A.ip, "0.0.0.0"))
        self.assertEqual(options, self.kind("ack") + self.LEASE + self.parameters())

    def test_request_of_another_server(self):
        self.silent(self.ask(("message-type", "request"), ("server_id", "10.0.1.77"), ("requested_addr", "10.0.1.78")))

    def test_reboot(self):
        """RFC 2131, 4.3.2: INIT-REBOOT with what it had before."""
        _, options = self.said(self.ask(("message-type", "request"), ("requested_addr", A.ip)))
        self.assertEqual(options[:2], self.kind("ack"))

    def test_reboot_elsewhere(self):
        """NAK: by broadcast, with nothing but who says so."""
        bootp, options = self.said(self.ask(("message-type", "request"), ("requested_addr", "192.168.0.5")), BROADCAST, "255.255.255.255")
        self.assertEqual((bootp.yiaddr, bootp.ciaddr), ("0.0.0.0", "0.0.0.0"))
        self.assertEqual(options, self.kind("nak"))

    def test_neighbours_address_is_not_given(self):
        _, options = self.said(self.ask(("message-type", "request"), ("requested_addr", ENIS["b"].ip)), BROADCAST, "255.255.255.255")
        self.assertEqual(options, self.kind("nak"))

    def test_renew(self):
        """Unicast, with the address in use."""
        bootp, options = self.said(self.ask(("message-type", "request"), ciaddr=A.ip, source=A.ip, to="10.0.1.1", mac=GATEWAY_MAC))
        self.assertEqual((bootp.yiaddr, bootp.ciaddr), (A.ip, A.ip))
        self.assertEqual(options, self.kind("ack") + self.LEASE + self.parameters())

    def test_rebind(self):
        bootp, options = self.said(self.ask(("message-type", "request"), ciaddr=A.ip, source=A.ip))
        self.assertEqual((bootp.yiaddr, bootp.ciaddr, options[:2]), (A.ip, A.ip, self.kind("ack")))

    def test_inform(self):
        """RFC 2131, 4.3.5: parameters, no address, no lease."""
        bootp, options = self.said(self.ask(("message-type", "inform"), ciaddr=A.ip, source=A.ip))
        self.assertEqual((bootp.yiaddr, bootp.ciaddr), ("0.0.0.0", A.ip))
        self.assertEqual(options, self.kind("ack") + self.parameters())

    def test_release_and_decline(self):
        for kind in ("release", "decline"):
            self.silent(self.ask(("message-type", kind), ("server_id", "10.0.1.1"), ("requested_addr", A.ip), ciaddr=A.ip, source=A.ip))
        _, options = self.said(self.ask(("message-type", "discover")))
        self.assertEqual(options[0], ("message-type", 2))

    def test_classless_routes(self):
        """RFC 3442: who asks for them takes no router option, so the default route is among them; services are on the link."""
        _, options = self.said(self.ask(("message-type", "discover"), ("param_req_list", [1, 3, 6, 121])))
        routes = [o for o in options if o[0] in (121, "classless_static_routes")]
        self.assertEqual(len(routes), 1)
        self.assertEqual(sorted(routes[0][1]), sorted(["169.254.169.252/30:0.0.0.0", "0.0.0.0/0:10.0.1.1"]))

    def test_client_identifier(self):
        """RFC 6842, 3: a client identifier is given back, whatever the answer."""
        mine = ("client_id", b"\x01" + HARDWARE)
        for request, to in ((("discover",), A.ip), (("request", ("requested_addr", A.ip)), A.ip),
                            (("request", ("requested_addr", "10.9.9.9")), "255.255.255.255")):
            answer = self.ask(("message-type", request[0]), mine, *request[1:])
            _, options = self.said(answer, A.mac if to == A.ip else BROADCAST, to)
            self.assertIn(mine, options)

    def test_mtu_and_domain_of_the_vpc(self):
        self.put("vpc", "v", mtu=1300, domain="corp.example")
        _, options = self.said(self.ask(("message-type", "discover")))
        self.assertEqual(options[5:], self.parameters(1300, b"corp.example"))

    def test_for_another_machine(self):
        """The client's hardware address is not the ENI's: the request of somebody behind it."""
        self.silent(self.ask(("message-type", "discover"), chaddr=b"\x02\0\0\0\x09\x09"))
        self.silent(self.ask(("message-type", "discover"), htype=6))
        self.silent(self.ask(("message-type", "offer"), op=2))

    def test_malformed(self):
        self.drops(self.ask(), "a", "malformed")  # no message type: BOOTP
        whole = bytes(Ether(src=A.mac, dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
                      BOOTP(op=1, xid=XID, chaddr=HARDWARE) / DHCP(options=[("message-type", "discover"), "end"]))
        for bad in (whole.replace(b"\x63\x82\x53\x63", b"\x63\x82\x53\x64"), whole[:-1].replace(b"\x35\x01\x01", b"\x35\xff\x01")):
            frame = Ether(bad[:14]) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / Raw(bad[42:])
            self.drops(self.send("a", frame), "a", "malformed")

    def test_nothing_leaves_by_unicast_to_others(self):
        """A request for a DHCP server that is a neighbour: without an address nothing is carried."""
        frame = Ether(src=A.mac, dst=ENIS["b"].mac) / IP(src="0.0.0.0", dst=ENIS["b"].ip) / UDP(sport=68, dport=67) / BOOTP(op=1)
        self.drops(self.send("a", frame), "a", "spoofed_ip")

    def test_servers_of_guests(self):
        """A guest that plays DHCP server offers to nobody."""
        frame = Ether(src=A.mac, dst=BROADCAST) / IP(src=A.ip, dst="255.255.255.255") / UDP(sport=67, dport=68) / BOOTP(op=2)
        self.drops(self.send("a", frame), "a", "multicast")


class Dhcp6(Case):
    CLIENT = d6.DUID_LL(lladdr=A.mac)
    SERVER = d6.DUID_LL(lladdr=GATEWAY_MAC)
    LINK_LOCAL = "fe80::ff:fe00:10a"
    GATEWAY_LINK_LOCAL = "fe80::c00:ff:fe00:1"

    def ask(self, message, *options, client=True):
        body = message(trid=0xabcdef)
        if client:
            body = body / d6.DHCP6OptClientId(duid=self.CLIENT)
        for option in options:
            body = body / option
        return self.send("a", Ether(src=A.mac, dst="33:33:00:01:00:02") / IPv6(src=self.LINK_LOCAL, dst="ff02::1:2", hlim=1) /
                         UDP(sport=546, dport=547) / body)

    def ia(self, *addresses, iaid=0x11223344):
        return d6.DHCP6OptIA_NA(iaid=iaid, ianaopts=[d6.DHCP6OptIAAddress(addr=a) for a in addresses])

    def expected(self, message, *options, client=True):
        body = message(trid=0xabcdef) / d6.DHCP6OptServerId(duid=self.SERVER)
        if client:
            body = body / d6.DHCP6OptClientId(duid=self.CLIENT)
        for option in options:
            body = body / option
        return bytes(Ether(dst=A.mac, src=GATEWAY_MAC) / IPv6(src=self.GATEWAY_LINK_LOCAL, dst=self.LINK_LOCAL, hlim=64) /
                     UDP(sport=547, dport=546) / body)

    def lease(self, *ended, iaid=0x11223344):
        return d6.DHCP6OptIA_NA(iaid=iaid, T1=1800, T2=2880, ianaopts=[d6.DHCP6OptIAAddress(addr=A.ip6, preflft=3600, validlft=7200)] +
                                [d6.DHCP6OptIAAddress(addr=a, preflft=0, validlft=0) for a in ended])

    DNS = (d6.DHCP6OptDNSServers(dnsservers=["fd00:ec2::253"]), d6.DHCP6OptDNSDomains(dnsdomains=["internal."]))

    def says(self, answer, expected):
        self.assertEqual(bytes(self.answered(answer, "a")).hex(), expected.hex())

    def server_id(self):
        return d6.DHCP6OptServerId(duid=self.SERVER)

    def status(self, code):
        return bytes(d6.DHCP6OptStatusCode(statuscode=code))

    def test_solicit(self):
        self.says(self.ask(d6.DHCP6_Solicit, self.ia()), self.expected(d6.DHCP6_Advertise, self.lease(), *self.DNS))

    def test_rapid_commit(self):
        self.says(self.ask(d6.DHCP6_Solicit, d6.DHCP6OptRapidCommit(), self.ia()),
                  self.expected(d6.DHCP6_Reply, d6.DHCP6OptRapidCommit(), self.lease(), *self.DNS))

    def test_request(self):
        self.says(self.ask(d6.DHCP6_Request, self.server_id(), self.ia(A.ip6)), self.expected(d6.DHCP6_Reply, self.lease(), *self.DNS))

    def test_renew_and_rebind(self):
        self.says(self.ask(d6.DHCP6_Renew, self.server_id(), self.ia(A.ip6)), self.expected(d6.DHCP6_Reply, self.lease(), *self.DNS))
        self.says(self.ask(d6.DHCP6_Rebind, self.ia(A.ip6)), self.expected(d6.DHCP6_Reply, self.lease(), *self.DNS))

    def test_addresses_that_ended(self):
        """RFC 8415, 18.3.4: lifetimes of 0 for what the client has and shall not have."""
        self.says(self.ask(d6.DHCP6_Renew, self.server_id(), self.ia("fd00:1:0:1::77", A.ip6)),
                  self.expected(d6.DHCP6_Reply, self.lease("fd00:1:0:1::77"), *self.DNS))

    def test_two_associations(self):
        self.says(self.ask(d6.DHCP6_Solicit, self.ia(), self.ia(iaid=5)),
                  self.expected(d6.DHCP6_Advertise, self.lease(), self.lease(iaid=5), *self.DNS))

    def test_confirm(self):
        """RFC 8415, 18.3.3; without any address there is nothing to confirm, and no answer."""
        ok = self.answered(self.ask(d6.DHCP6_Confirm, self.ia(A.ip6)), "a")
        self.assertEqual(bytes(ok), self.expected(d6.DHCP6_Reply, d6.DHCP6OptStatusCode(statuscode=0)))
        moved = self.answered(self.ask(d6.DHCP6_Confirm, self.ia("fd00:9::1")), "a")
        self.assertEqual(bytes(moved), self.expected(d6.DHCP6_Reply, d6.DHCP6OptStatusCode(statuscode=4)))
        self.silent(self.ask(d6.DHCP6_Confirm, self.ia()))
        self.silent(self.ask(d6.DHCP6_Confirm))

    def test_release_and_decline(self):
        for message in (d6.DHCP6_Release, d6.DHCP6_Decline):
            self.says(self.ask(message, self.server_id(), self.ia(A.ip6)),
                      self.expected(d6.DHCP6_Reply, d6.DHCP6OptStatusCode(statuscode=0)))

    def test_information(self):
        self.says(self.ask(d6.DHCP6_InfoRequest, d6.DHCP6OptOptReq(reqopts=[23, 24])), self.expected(d6.DHCP6_Reply, *self.DNS))
        self.says(self.ask(d6.DHCP6_InfoRequest, client=False), self.expected(d6.DHCP6_Reply, *self.DNS, client=False))

    def test_prefixes_are_not_delegated(self):
        answer = self.ask(d6.DHCP6_Solicit, d6.DHCP6OptIA_PD(iaid=7))
        refusal = d6.DHCP6OptIA_PD(iaid=7, T1=0, T2=0, iapdopt=[d6.DHCP6OptStatusCode(statuscode=6)])
        self.says(answer, self.expected(d6.DHCP6_Advertise, refusal, *self.DNS))

    def test_no_ipv6_address(self):
        self.put("eni", "a", addresses=[A.ip])
        frame = self.answered(self.ask(d6.DHCP6_Solicit, self.ia()), "a")
        self.assertIn(self.status(2), bytes(frame[d6.DHCP6OptIA_NA]))
        self.assertNotIn(d6.DHCP6OptIAAddress, frame)

    def test_messages_that_are_not_for_us(self):
        """RFC 8415, 16: by their identifiers."""
        other = d6.DHCP6OptServerId(duid=d6.DUID_LL(lladdr="02:00:00:00:99:99"))
        for message in (d6.DHCP6_Solicit, d6.DHCP6_Confirm, d6.DHCP6_Rebind):
            self.silent(self.ask(message, self.server_id(), self.ia(A.ip6)))
        for message in (d6.DHCP6_Request, d6.DHCP6_Renew, d6.DHCP6_Release, d6.DHCP6_Decline):
            self.silent(self.ask(message, self.ia(A.ip6)))
            self.silent(self.ask(message, other, self.ia(A.ip6)))
            self.silent(self.ask(message, self.server_id(), self.ia(A.ip6), client=False))
        self.silent(self.ask(d6.DHCP6_InfoRequest, other))
        for message in (d6.DHCP6_Advertise, d6.DHCP6_Reply, d6.DHCP6_Reconf):
            self.silent(self.ask(message, self.server_id()))

    def test_malformed(self):
        for payload in (b"", b"\x01\xab\xcd", b"\x01\xab\xcd\xef\0\x01\0\xff\0", b"\x01\xab\xcd\xef\0"):
            self.drops(self.send("a", Ether(src=A.mac, dst="33:33:00:01:00:02") / IPv6(src=self.LINK_LOCAL, dst="ff02::1:2") /
                                 UDP(sport=546, dport=547) / Raw(payload)), "a", "malformed")

    def test_many_associations(self):
        """More than fit, each with more addresses than fit: an answer that is whole, and no longer than a frame."""
        many = [self.ia(*[f"fd00:9::{i:x}:{k:x}" for k in range(10)], iaid=i) for i in range(4)]
        frame = self.answered(self.ask(d6.DHCP6_Renew, self.server_id(), *many), "a")
        self.assertLessEqual(len(bytes(frame)), 1514)
        self.assertIn(d6.DHCP6OptDNSServers, frame)


if __name__ == "__main__":
    tap.main()
