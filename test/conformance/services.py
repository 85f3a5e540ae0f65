#!/usr/bin/python3
"""vpc.md: "DNS-resolver/metadata addresses (169.254.169.254, fd00:ec2::254) are answered by the card"."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap  # noqa: E402
from packet_bench import *  # noqa: E402,F403
from scapy.layers.dns import DNS, DNSQR, DNSRROPT  # noqa: E402

A, B = ENIS["a"], ENIS["b"]
RESOLVER, RESOLVER6 = "169.254.169.253", "fd00:ec2::253"
METADATA, METADATA6 = "169.254.169.254", "fd00:ec2::254"


class Dns(Case):
    def query(self, message, to=RESOLVER, sport=5353):
        v6 = ":" in to
        return self.send("a", Ether(src=A.mac, dst=GATEWAY_MAC) / (IPv6(src=A.ip6, dst=to) if v6 else IP(src=A.ip, dst=to)) /
                         UDP(sport=sport, dport=53) / message)

    def ask(self, name, kind, to=RESOLVER, **fields):
        """The answer, whose headers and question are as they must be."""
        question = DNSQR(qname=name, qtype=kind)
        frame = self.answered(self.query(DNS(id=4711, rd=1, qd=question, **fields), to), "a")
        ip = frame[IPv6] if ":" in to else frame[IP]
        self.assertEqual((frame.dst, frame.src, ip.src, ip.dst), (A.mac, GATEWAY_MAC, to, A.ip6 if ":" in to else A.ip))
        self.assertEqual((frame[UDP].sport, frame[UDP].dport), (53, 5353))
        dns = frame[DNS]
        self.assertEqual((dns.id, dns.qr, dns.opcode, dns.tc, dns.rd, dns.ra, dns.z, dns.qdcount, dns.nscount),
                         (4711, 1, 0, 0, 1, 0, 0, 1, 0))
        self.assertEqual(bytes(dns.qd), bytes(question))
        return dns

    def finds(self, name, kind, value, **more):
        dns = self.ask(name, kind, **more)
        self.assertEqual((dns.rcode, dns.aa, dns.ancount), (0, 1, 1))
        record = dns.an
        self.assertEqual((record.type, record.rclass, record.ttl, record.rdata), (dns.qd.qtype, 1, 60, value))
        self.assertEqual(record.rrname.lower(), name.lower().encode())

    def test_forward(self):
        for to in (RESOLVER, RESOLVER6, "10.0.0.2"):
            self.finds("b.internal.", "A", B.ip, to=to)
            self.finds("b.internal.", "AAAA", B.ip6, to=to)

    def test_on_another_host(self):
        self.finds("c.internal.", "A", ENIS["c"].ip)

    def test_case(self):
        """RFC 4343; and the question comes back as it was asked."""
        self.finds("B.InterNal.", "A", B.ip)

    def test_reverse(self):
        self.finds("11.1.0.10.in-addr.arpa.", "PTR", b"b.internal.")
        nibbles = ".".join(reversed("fd000001000000010000000000000011"))
        self.finds(nibbles + ".ip6.arpa.", "PTR", b"b.internal.")

    def test_domain_of_the_vpc(self):
        self.put("vpc", "v", domain="corp.example")
        self.finds("b.corp.example.", "A", B.ip)
        self.finds("11.1.0.10.in-addr.arpa.", "PTR", b"b.corp.example.")
        self.assertEqual(self.ask("b.internal.", "A").rcode, 5)

    def test_nobody_has_the_name(self):
        for name in ("nobody.internal.", "x.b.internal.", "11.9.0.10.in-addr.arpa."):
            dns = self.ask(name, "A")
            self.assertEqual((dns.rcode, dns.aa, dns.ancount), (3, 1, 0), name)

    def test_the_name_is_there_and_the_type_is_not(self):
        self.put("eni", "b", addresses=[B.ip])
        for kind in ("AAAA", "MX", "TXT", "NS"):
            dns = self.ask("b.internal.", kind)
            self.assertEqual((dns.rcode, dns.aa, dns.ancount), (0, 1, 0), kind)

    def test_elsewhere(self):
        """The card asks nobody: REFUSED, and no claim of authority (RFC 1035, 4.1.1)."""
        for name in ("www.example.com.", "internal.example.", "xinternal.", "."):
            dns = self.ask(name, "A")
            self.assertEqual((dns.rcode, dns.aa, dns.ancount), (5, 0, 0), name)

    def test_edns(self):
        """RFC 6891: who speaks it is answered in it."""
        dns = self.ask("b.internal.", "A", ar=DNSRROPT(rclass=4096))
        self.assertEqual((dns.arcount, dns.ar.type, dns.ar.rclass, dns.ar.rrname), (1, 41, 1232, b"."))
        self.assertEqual(self.ask("b.internal.", "A").arcount, 0)

    def test_other_vpc(self):
        """Names of one VPC are nobody's in another."""
        other = eni("w1", 1, 11, block="10.0", block6="fd00:1:0")
        self.apply([self.object("vpc", "w", cidrs=["10.0.0.0/16"], vni=4097), self.object("subnet", "ws", vpc="w", cidr="10.0.1.0/24"),
                    self.object("eni", "secret", subnet="ws", mac="02:00:00:00:77:01", addresses=[other.ip], security_groups=[])])
        self.assertEqual(self.ask("secret.internal.", "A").rcode, 3)
        self.finds("11.1.0.10.in-addr.arpa.", "PTR", b"b.internal.")

    def test_errors(self):
        frame = self.answered(self.query(DNS(id=1, opcode=4, qd=DNSQR(qname="b.internal"))), "a")
        self.assertEqual((frame[DNS].rcode, frame[DNS].opcode), (4, 4))
        frame = self.answered(self.query(DNS(id=2, qd=None)), "a")
        self.assertEqual((frame[DNS].rcode, frame[DNS].id), (1, 2))
        frame = self.answered(self.query(Raw(bytes(DNS(id=3, qd=DNSQR(qname="b.internal")))[:20])), "a")
        self.assertEqual((frame[DNS].rcode, frame[DNS].id), (1, 3))
        pointer = bytes(DNS(id=4, qd=None, qdcount=1)) + b"\xc0\x0c\0\1\0\1"  # to itself
        self.assertEqual(self.answered(self.query(Raw(pointer)), "a")[DNS].rcode, 1)
        self.drops(self.query(Raw(b"\0" * 11)), "a", "malformed")
        self.silent(self.query(DNS(id=5, qr=1, qd=DNSQR(qname="b.internal"))))


class Metadata(Case):
    def setUp(self):
        super().setUp()
        self.port = 30000

    def segment(self, flags, seq, ack=0, data=b"", to=METADATA):
        upper = TCP(sport=self.port, dport=80, flags=flags, seq=seq, ack=ack, window=64000)
        packet = Ether(src=A.mac, dst=GATEWAY_MAC) / (IPv6(src=A.ip6, dst=to) if ":" in to else IP(src=A.ip, dst=to)) / upper
        return self.send("a", packet / Raw(data) if data else packet)

    def http(self, request, to=METADATA):
        """Status, headers, body; every segment of the connection as it must be."""
        self.port += 1
        frame = self.answered(self.segment("S", 1000, to=to), "a")
        tcp = frame[TCP]
        self.assertEqual((tcp.sport, tcp.dport, tcp.flags, tcp.ack, tcp.window), (80, self.port, "SA", 1001, 65535))
        self.assertEqual(tcp.options, [("MSS", 1380 if ":" in to else 1400)])
        first = tcp.seq + 1
        self.silent(self.segment("A", 1001, first, to=to))
        asked = request.encode()
        frame = self.answered(self.segment("PA", 1001, first, asked, to=to), "a")
        tcp = frame[TCP]
        self.assertEqual((tcp.flags, tcp.seq, tcp.ack), ("FPA", first, 1001 + len(asked)))
        reply = bytes(tcp.payload)
        done = first + len(reply) + 1
        frame = self.answered(self.segment("FA", 1001 + len(asked), done, to=to), "a")
        self.assertEqual((frame[TCP].flags, frame[TCP].seq, frame[TCP].ack), ("A", done, 1002 + len(asked)))
        head, body = reply.split(b"\r\n\r\n", 1)
        status, *headers = head.decode().split("\r\n")
        self.assertTrue(status.startswith("HTTP/1.1 "))
        headers = dict(line.split(": ", 1) for line in headers)
        if not request.startswith("HEAD"):
            self.assertEqual(int(headers["Content-Length"]), len(body))
        return int(status.split()[1]), headers, body.decode()

    def get(self, path, *headers, method="GET", to=METADATA):
        return self.http(f"{method} {path} HTTP/1.1\r\nHost: {to}\r\n" + "".join(h + "\r\n" for h in headers) + "\r\n", to)

    def test_what_cloud_init_looks_for(self):
        mac = f"/latest/meta-data/network/interfaces/macs/{A.mac}"
        for path, body in (("/latest/meta-data/instance-id", ident("a")), ("/latest/meta-data/local-ipv4", A.ip),
                           ("/latest/meta-data/ipv6", A.ip6), ("/latest/meta-data/hostname", "a.internal"),
                           ("/latest/meta-data/local-hostname", "a.internal"), ("/latest/meta-data/mac", A.mac),
                           (mac + "/local-ipv4s", A.ip), (mac + "/ipv6s", A.ip6), (mac + "/mac", A.mac),
                           (mac + "/subnet-ipv4-cidr-block", "10.0.1.0/24"), (mac + "/subnet-ipv6-cidr-blocks", "fd00:1:0:1::/64"),
                           (mac + "/device-number", "0"), (mac + "/interface-id", ident("a")),
                           ("/latest/meta-data/network/interfaces/macs/", A.mac + "/"), ("/latest/", "meta-data")):
            status, headers, text = self.get(path)
            self.assertEqual((status, text, headers["Content-Type"]), (200, body, "text/plain"), path)

    def test_directory(self):
        _, _, text = self.get("/latest/meta-data/")
        self.assertEqual(text.split("\n"), ["hostname", "instance-id", "ipv6", "local-hostname", "local-ipv4", "mac", "network/"])

    def test_over_ipv6(self):
        self.assertEqual(self.get("/latest/meta-data/mac", to=METADATA6)[::2], (200, A.mac))

    def test_token(self):
        status, _, token = self.get("/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600", method="PUT")
        self.assertEqual(status, 200)
        self.assertEqual(self.get("/latest/meta-data/mac", f"X-aws-ec2-metadata-token: {token}")[0], 200)
        self.assertEqual(self.get("/latest/meta-data/mac", "X-aws-ec2-metadata-token: wrong")[0], 401)
        self.assertEqual(self.get("/latest/meta-data/mac", f"x-AWS-ec2-metadata-token:  {token}")[0], 200)

    def test_not_found_and_not_allowed(self):
        for path in ("/latest/meta-data/nothing", "/latest/meta-data/network/interfaces/macs/02:00:00:00:01:0b/mac", "/../etc/passwd"):
            self.assertEqual(self.get(path)[0], 404, path)
        for method in ("POST", "DELETE", "PUT"):
            self.assertEqual(self.get("/latest/meta-data/mac", method=method)[0], 405, method)
        status, headers, body = self.get("/latest/meta-data/mac", method="HEAD")
        self.assertEqual((status, headers["Content-Length"], body), (200, "17", ""))
        self.assertEqual(self.http("nonsense\r\n\r\n")[0], 400)

    def test_no_cookie_no_answer(self):
        """Without the handshake nobody is served (RFC 4987, 3.6): a guessed acknowledgement is reset."""
        frame = self.answered(self.segment("PA", 1001, 12345, b"GET / HTTP/1.1\r\n\r\n"), "a")
        self.assertEqual((frame[TCP].flags, frame[TCP].seq), ("R", 12345))

    def test_cookie_of_another_connection(self):
        first = self.answered(self.segment("S", 1000), "a")[TCP].seq + 1
        self.port += 1
        self.assertEqual(self.answered(self.segment("PA", 1001, first, b"GET / HTTP/1.1\r\n\r\n"), "a")[TCP].flags, "R")

    def test_cookie_grows_old(self):
        first = self.answered(self.segment("S", 1000), "a")[TCP].seq + 1
        request = b"GET /latest/meta-data/mac HTTP/1.1\r\n\r\n"
        self.advance(60)
        self.assertEqual(self.answered(self.segment("PA", 1001, first, request), "a")[TCP].flags, "FPA")
        self.advance(130)
        self.assertEqual(self.answered(self.segment("PA", 1001, first, request), "a")[TCP].flags, "R")

    def test_sent_again(self):
        first = self.answered(self.segment("S", 1000), "a")[TCP].seq + 1
        request = b"GET /latest/meta-data/mac HTTP/1.1\r\n\r\n"
        answers = [self.answered(self.segment("PA", 1001, first, request), "a") for _ in range(2)]
        self.assertEqual(bytes(answers[0]), bytes(answers[1]))

    def test_half_a_request(self):
        first = self.answered(self.segment("S", 1000), "a")[TCP].seq + 1
        self.assertEqual(self.answered(self.segment("PA", 1001, first, b"GET /latest HT"), "a")[TCP].flags, "R")

    def test_odd_segments(self):
        self.silent(self.segment("R", 1, 2))
        self.assertEqual(self.answered(self.segment("SA", 1, 2), "a")[TCP].flags, "R")
        self.assertEqual(self.answered(self.segment("SF", 1, 2), "a")[TCP].flags, "SA")
        self.assertEqual(self.answered(self.segment("", 1, 2), "a")[TCP].flags, "R")

    def test_long_requests(self):
        first = self.answered(self.segment("S", 1000), "a")[TCP].seq + 1
        for request in (b"GET /" + b"x" * 1300 + b" HTTP/1.1\r\n\r\n", b"GET /latest" + b"\0" * 20 + b"\r\n\r\n"):
            answer = self.answered(self.segment("PA", 1001, first, request), "a")[TCP]
            self.assertTrue(answer.flags == "R" or bytes(answer.payload).startswith(b"HTTP/1.1 4"), answer.summary())

    def test_no_flow_for_it(self):
        self.get("/latest/meta-data/mac")
        self.assertEqual(self.flows(), [])


class LinkLocalAllowance(Case):
    def test_allowance(self):
        """1024 a second (as AWS), counted under its name; the answers that were given are not touched, and a second later it goes on."""
        packet = Ether(src=A.mac, dst=GATEWAY_MAC) / IP(src=A.ip, dst=METADATA) / ICMP(type=8)
        line = "eni a " + bytes(packet).hex()
        answers = self.bench.do_all([line] * 2000)
        given = sum(1 for a in answers if a[-1] == "drop a answered")
        refused = sum(1 for a in answers if a == ["drop a linklocal_allowance_exceeded"])
        self.assertEqual((given + refused, refused > 0), (2000, True))
        self.assertGreaterEqual(given, 102)
        self.assertEqual(self.counters("a")["drops"]["linklocal_allowance_exceeded"], refused)
        self.arrives(self.udp("a", "b"), "b")  # others' traffic is not the service's
        self.advance(1)
        self.answered(self.send("a", packet), "a")

    def test_a_second_holds_1024(self):
        packet = Ether(src=A.mac, dst=GATEWAY_MAC) / IP(src=A.ip, dst=METADATA) / ICMP(type=8)
        line, given = "eni a " + bytes(packet).hex(), 0
        self.bench.do_all([line] * 200)  # what had been saved
        for _ in range(10):
            answers = self.bench.do_all(["advance 100"] + [line] * 200)
            given += sum(1 for a in answers if a and a[-1] == "drop a answered")
        self.assertTrue(1000 <= given <= 1048, given)


if __name__ == "__main__":
    tap.main()
