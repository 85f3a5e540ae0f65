"""The demo's second part: two cards with a wire between them, a guest on each, both in one VPC; a security group closed and opened while
they run; network namespaces as guests; and how fast that goes."""
import json
import os
import re
import signal
import subprocess
import time

from demo_stage import COMMAND_TIMEOUT_S, MIB, Card, Failed, Guest, bound, inside, run

VNI = 4242
FILE_MIB = 16
FLOWS = 1024
IPERF_PORT = 5201
ATTEMPTS = 100  # of the guest, until a change of policy must have reached it

CARDS = {"left": "192.0.2.1", "right": "192.0.2.2"}
PROCESSORS = sorted(os.sched_getaffinity(0))
CORES = {"left": PROCESSORS[-1], "right": PROCESSORS[0]}
ENIS = {  # name: card, address, security group; MAC addresses end like the address
    "web": ("left", "10.0.1.10", "web"), "app": ("right", "10.0.1.20", "app"),
    "blue": ("left", "10.0.1.31", "open"), "green": ("left", "10.0.1.32", "open"),
    "sender": ("left", "10.0.1.41", "open"), "receiver": ("left", "10.0.1.42", "open")}
RULE = ("app", "--egress", "--protocol", "tcp", "--ports", "80", "--group", "web")  # is taken away and given back

GUEST_BEGINS = """
set -e
mkfs.ext4 -q /dev/vda
mount /dev/vda /mnt
ip link set eth0 up
udhcpc -i eth0 -n -q -t 10 >/dev/null 2>&1
echo "demo: address $(ip -4 -o address show eth0 | sed 's/.*inet \\([^ ]*\\) .*/\\1/'), MTU $(cat /sys/class/net/eth0/mtu)"
"""

WEB = GUEST_BEGINS + f"""
head -c {FILE_MIB * MIB} /dev/urandom >/mnt/file
sha256sum </mnt/file | sed 's/^/demo: serves /'
mkdir /mnt/cgi-bin
printf '#!/bin/sh\\necho; touch /tmp/end\\n' >/mnt/cgi-bin/end
chmod 755 /mnt/cgi-bin/end
echo yes >/mnt/ready
httpd -h /mnt
until [ -e /tmp/end ]; do sleep 0.2; done
killall httpd
umount /mnt
"""

APP = GUEST_BEGINS + f"""
web={ENIS["web"][1]}
ask() {{ printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' | timeout 3 nc -w 1 $web 80 >/dev/null; }}
until_it() {{
	attempt=1
	while :; do
		is=passes
		said=$(ask 2>&1) || case $said in
		nc:*) is=fails ;;
		*) is=cut ;; # in the middle: it was terminated
		esac
		[ $is != $1 ] || break
		[ $attempt -lt {ATTEMPTS} ] || {{ echo "after $attempt attempts it still $is: $said"; exit 1; }}
		attempt=$((attempt + 1))
		sleep 0.2
	done
	echo "demo: $is $said"
}}
milliseconds() {{ sed 's/\\.\\([0-9]*\\) .*/\\10/' /proc/uptime; }}

until_it passes
ping -q -c 10 -i 0.1 $web | sed -n 's/^round-trip min.avg.max = /demo: pinged /p'
start=$(milliseconds)
wget -q -O /mnt/file http://$web/file
echo "demo: took $(($(milliseconds) - start))"
sed -n 's/^model name.*: /demo: processor /p' /proc/cpuinfo
sha256sum </mnt/file | sed 's/^/demo: received /'
until_it fails
until_it passes
wget -q -O /dev/null http://$web/cgi-bin/end
umount /mnt
"""


# --- the network ---

def network(here):
    """The same VPC on both cards, each of which knows what is on the other."""
    anywhere = "10.0.0.0/16"
    groups = {
        "web": [{"direction": "ingress", "protocol": "tcp", "ports": "80", "group": "app"},
                {"direction": "ingress", "protocol": "icmp", "cidr": anywhere}],
        "app": [{"direction": "egress", "protocol": "tcp", "ports": "80", "group": "web"},
                {"direction": "egress", "protocol": "icmp", "cidr": anywhere}],
        "open": [{"direction": direction, "protocol": "all", "cidr": anywhere} for direction in ("ingress", "egress")]}
    return {
        "hosts": [{"name": name, "address": address} for name, address in CARDS.items() if name != here],
        "vpcs": [{"name": "shop", "cidrs": [anywhere], "vni": VNI}],
        "subnets": [{"name": "shop-a", "vpc": "shop", "cidr": "10.0.1.0/24"}],
        "security_groups": [{"name": name, "vpc": "shop", "rules": rules} for name, rules in groups.items()],
        "enis": [{"name": name, "subnet": "shop-a", "security_groups": [group], "addresses": [address], "mac": mac(name),
                  **({"host": card} if card != here else {})} for name, (card, address, group) in ENIS.items()]}


def mac(name):
    return "02:00:00:00:00:" + ENIS[name][1].rsplit(".", 1)[1]


def wire(stage):
    """A veth pair, each end in a namespace of its own; returns these."""
    namespaces = {name: stage.namespace(name) for name in CARDS}
    run("ip", "link", "add", "wire", "netns", namespaces["left"], "type", "veth", "peer", "name", "wire", "netns", namespaces["right"])
    for namespace in namespaces.values():
        run("ip", "-n", namespace, "link", "set", "wire", "up")
    return namespaces


def card_on(stage, name, namespace):
    return Card(stage, name, core=CORES[name], namespace=namespace, wire=f"address={CARDS[name]}/24;device=net_af_packet0,iface=wire")


def load(stage, name, card):
    path = f"{stage.folder}/network-{name}.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(network(name), file)
    return card.call("vpc", "load", path)["created"]


# --- the guests ---

def guest_on(stage, card, name, script):
    """A guest whose disk and NIC the card serves."""
    card.call("volume", "create", name, "--size", "256M", "--backend", "file", "--path", f"{stage.folder}/{name}.img", "--encrypted")
    disk = card.call("volume", "attach", name)["socket"]
    nic = card.call("eni", "attach", name)["socket"]
    return Guest(stage, name, script, "--disk", f"{disk},packed", "--nic", f"{nic},{mac(name)},packed")


def hear_transfer(stage, web, app):
    for guest in (web, app):
        stage.fact(f"{guest.name}, by DHCP", guest.hear("address"))
    digest = web.hear("serves")
    app.hear("passes")
    least, mean, most = app.hear("pinged").split()[0].split("/")
    stage.fact("ping from app to web", f"{mean} ms on average, {least} to {most} ms")
    rate = FILE_MIB * MIB * 8 / int(app.hear("took")) / 1000
    emulated = " (CPUs of both emulated: TCG)" if "TCG" in app.hear("processor") else ""
    if app.hear("received") != digest:
        raise Failed("what app received is not what web sent")
    stage.fact("from web's disk to app's", f"{FILE_MIB} MiB over TCP at {rate:,.0f} Mbit/s{emulated}, checksum right")


# --- a security group, closed and opened ---

class Capture:
    """What happens at an ENI, in a file, while the block lasts."""

    def __init__(self, stage, card, eni):
        self.path = f"{stage.folder}/{eni}.pcapng"
        self.line = bound(card.command("--json", "eni", "capture", eni, "--write", self.path, "--drops"))

    def __enter__(self):
        self.process = subprocess.Popen(self.line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def end(self):
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=COMMAND_TIMEOUT_S)[0]
        if self.process.returncode != 0:
            raise Failed(f"outboard eni capture: {output.strip()}")
        return json.loads(output)["packets"]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def drops(card, eni):
    return card.call("eni", "stats", eni)["drops"]


def explain(stage, card):
    said = card.say("vpc", "trace", "--from", "app", "--packet", f"tcp {ENIS['web'][1]}:80 syn")
    stage.detail("why, says outboard vpc trace:")
    for line in filter(None, said.splitlines()):
        stage.detail(f"  {line}")
    if "Dropped (security_group_out)" not in said:
        raise Failed("the trace does not say what happened")


def read_capture(stage, capture):
    """Connections are told apart by app's port; a SYN stands there twice when it was dropped."""
    captured = capture.end()
    lines = run("tcpdump", "-nr", capture.path).splitlines()
    text = "\n".join(lines)
    begun = set(re.findall(r"\.(\d+) > \S+: Flags \[S\],", text))
    answered = set(re.findall(r"\.(\d+): Flags \[S\.\],", text))
    if len(lines) != captured or not begun - answered:
        raise Failed(f"of {captured} captured packets tcpdump reads {len(lines)}:\n{text}")
    stage.fact("all that in a capture, read by tcpdump",
               f"{len(lines)} packets; {len(begun - answered)} of {len(begun)} connections not answered")


def close_and_open(stage, card, app):
    """The rule that lets app out to web is app's: packets that it no longer allows are dropped on app's card."""
    with Capture(stage, card, "app") as capture:
        before = drops(card, "app")
        stage.step(f"closing: outboard security-group revoke {' '.join(RULE)}")
        card.call("security-group", "revoke", *RULE)
        stage.fact("group closed, app's next connection", f"fails ({app.hear('fails')})")
        explain(stage, card)
        dropped = {reason: count - before.get(reason, 0) for reason, count in drops(card, "app").items() if reason != "answered"}
        if dropped.get("security_group_out", 0) == 0:
            raise Failed(f"nothing was counted as dropped by a security group, but {dropped}")
        stage.fact("meanwhile dropped at app", ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count))
        stage.step(f"opening: outboard security-group allow {' '.join(RULE)}")
        card.call("security-group", "allow", *RULE)
        app.hear("passes")
        stage.fact("group open, app's next connection", "passes; nothing was restarted")
        read_capture(stage, capture)


# --- how fast ---

def between_namespaces(stage, card):
    """iperf3 between two network namespaces whose eth0 are taps of the card."""
    inhabited = {}
    for name in ("blue", "green"):
        inhabited[name] = stage.namespace(name)
        card.call("eni", "attach", name, "--tap", "eth0", "--netns", inhabited[name])
        run("ip", "-n", inhabited[name], "address", "add", f"{ENIS[name][1]}/24", "dev", "eth0")
        run("ip", "-n", inhabited[name], "link", "set", "eth0", "up")
    server = subprocess.Popen(bound([*inside(inhabited["green"]), "iperf3", "--server", "--one-off"]), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    try:
        wait_for_listener(inhabited["green"], IPERF_PORT)
        end = json.loads(run(*inside(inhabited["blue"]), "iperf3", "--client", ENIS["green"][1], "--json", "--time",
                             str(stage.seconds)))["end"]
    finally:
        server.kill()
        server.wait()
    stage.fact("iperf3 between namespaces, by taps", f"{end['sum_received']['bits_per_second'] / 1e9:.1f} Gbit/s")


def wait_for_listener(namespace, port):
    deadline = time.monotonic() + COMMAND_TIMEOUT_S
    while f":{port}" not in run("ss", "-N", namespace, "-ltn"):
        if time.monotonic() > deadline:
            raise Failed(f"nobody listens on port {port}")
        time.sleep(0.05)


def measure(stage, card, sockets, what, *words):
    line = [f"{stage.build}/outboard", "bench", "net", *sockets, "--dhcp", "--json", "--cpu", str(CORES["right"]),
            "--duration", str(stage.seconds), *words]
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as bench:
        try:
            time.sleep(0.5)  # the card's own account, from the middle of the run
            top = card.call("top", "--interval", "1")
            output = bench.communicate(timeout=stage.seconds + COMMAND_TIMEOUT_S)[0]
        finally:
            bench.kill()
    if bench.returncode != 0:
        raise Failed(f"outboard bench net failed at {what}")
    result = json.loads(output)
    busy = max(poller["busy_share"] for poller in top["pollers"])
    latency = result["latency_ns"]
    stage.detail(f"{what}: {result['pps_received']:,.0f} packets/s, {result['gbit_per_s_received']:.2f} Gbit/s")
    return (what, f"{result['pps_received']:,.0f}", f"{result['gbit_per_s_received']:.2f}", f"{result['lost']:,}",
            f"{latency['avg'] / 1000:.1f}" if latency else "", f"{latency['p99'] / 1000:.1f}" if latency else "",
            "" if latency else f"{busy * 1e9 / result['pps_sent']:,.0f}")


def measure_nics(stage, card):
    """From one NIC to another of the card, the load client being both guests."""
    sockets = [card.call("eni", "attach", name)["socket"] for name in ("sender", "receiver")]
    rows = [measure(stage, card, sockets, what, *words) for what, *words in (
        (f"64-byte UDP, {FLOWS:,} flows", "--flows", str(FLOWS)),
        ("TCP frames of 64 KiB, not segmented", "--protocol", "tcp", "--tso", "64K"),
        ("64-byte UDP, 100,000 a second", "--rate", "100000", "--latency"))]
    stage.table("NIC to NIC on one card, through a stateful group, one poller core",
                ("", "packets/s", "Gbit/s", "lost", "avg µs", "p99 µs", "card's ns a packet"), rows)


# --- all of it ---

def show(stage):
    stage.step("starting two cards, each in a network namespace, with a veth pair as the wire between them")
    namespaces = wire(stage)
    with card_on(stage, "left", namespaces["left"]) as left, card_on(stage, "right", namespaces["right"]) as right:
        for name, card in (("left", left), ("right", right)):
            stage.detail(f"{name}: {CARDS[name]}, polls on core {CORES[name]}")
        stage.step("loading the same VPC into both, each of which is told what is on the other: outboard vpc load")
        for name, card in (("left", left), ("right", right)):
            stage.detail(f"{name}: {load(stage, name, card)} objects")
        stage.step("booting a guest on each, web and app, with a NIC in one VPC and an encrypted disk")
        with guest_on(stage, left, "web", WEB) as web, guest_on(stage, right, "app", APP) as app:
            hear_transfer(stage, web, app)
            close_and_open(stage, right, app)
            app.end()
            web.end()
        stage.step("iperf3 between two network namespaces, whose interfaces are ENIs of one card")
        between_namespaces(stage, left)
        stage.step("measuring NICs of one card")
        measure_nics(stage, left)
