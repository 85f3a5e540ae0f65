#!/usr/bin/python3
"""How the bench is driven: two ENIs of one card, a third on another host; a ping each. TAP."""
import json
import subprocess
import sys
import uuid

from scapy.all import ARP, Ether, ICMP, IP, UDP
from scapy.layers.vxlan import VXLAN


def ident(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def change(kind, name, **fields):
    return {"kind": kind, "id": ident(name), "object": dict(fields, name=name)}


class Bench:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1] == "ok" or lines[-1].startswith("error "):
                return lines
        raise EOFError("the bench has gone")

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.read()
        if answer[-1] != "ok":
            raise ValueError(answer[-1])
        return answer[:-1]

    def send(self, eni, frame):
        return self.do(f"eni {eni} {bytes(frame).hex()}")


MACS = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b", "c": "02:00:00:00:00:0c"}
OBJECTS = [
    change("host", "other", address="192.0.2.2"),
    change("vpc", "v", cidrs=["10.0.0.0/16"], vni=4096, encapsulation="vxlan"),
    change("subnet", "s", vpc=ident("v"), cidr="10.0.1.0/24"),
    change("security-group", "g", vpc=ident("v"), grandfather=False, rules=[
        {"direction": "egress", "protocol": "all", "cidr": "0.0.0.0/0"},
        {"direction": "ingress", "protocol": "icmp", "cidr": "0.0.0.0/0"}]),
] + [change("eni", n, subnet=ident("s"), mac=MACS[n], addresses=[f"10.0.1.{i}"], security_groups=[ident("g")],
            source_dest_check=True, **({"host": ident("other")} if n == "c" else {})) for n, i in (("a", 10), ("b", 11), ("c", 12))]


def main():
    bench = Bench(sys.argv[1], "--wire", "address=192.0.2.1/24;device=fake")
    bench.do("apply " + json.dumps({"reset": True, "changes": OBJECTS}))
    for eni in ("a", "b"):
        bench.do(f"attach {eni}")
    ping = Ether(src=MACS["a"], dst=MACS["b"]) / IP(src="10.0.1.10", dst="10.0.1.11") / ICMP(id=7)
    got = bench.send("a", ping)
    results = [("a guest of this card is given the ping", [line.split()[1] for line in got] == ["b"])]
    bench.do("wire " + bytes(Ether(src="02:00:00:00:02:02", dst="02:00:00:00:00:01") / ARP(
        op=2, hwsrc="02:00:00:00:02:02", psrc="192.0.2.2", hwdst="02:00:00:00:00:01", pdst="192.0.2.1")).hex())
    got = bench.send("a", Ether(src=MACS["a"], dst=MACS["c"]) / IP(src="10.0.1.10", dst="10.0.1.12") / ICMP(id=8))
    frame = Ether(bytes.fromhex(got[0].split()[1])) if got and got[0].startswith("wire ") else Ether()
    results.append(("a guest of another host is sent it in VXLAN", VXLAN in frame and frame[VXLAN].vni == 4096 and
                    frame[IP].dst == "192.0.2.2" and frame[UDP].dport == 4789 and frame[VXLAN].payload[IP].dst == "10.0.1.12"))
    got = bench.send("a", Ether(src=MACS["a"], dst=MACS["b"]) / IP(src="10.0.1.99", dst="10.0.1.11") / ICMP())
    results.append(("a borrowed address is not carried", got == ["drop a spoofed_ip"]))
    print(f"1..{len(results)}")
    for number, (name, good) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    sys.exit(0 if all(good for _, good in results) else 1)


if __name__ == "__main__":
    main()
