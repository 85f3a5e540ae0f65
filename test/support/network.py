"""Network namespaces, links between them, and what goes over them: for tests in which the kernel, or a guest, is the card's peer.

Everything is in namespaces of the test's own: when they are deleted, nothing is left. Sockets are opened inside of them by a thread
that goes there, so that a test needs no helper processes.
"""
import contextlib
import ctypes
import hashlib
import itertools
import os
import random
import select
import socket
import subprocess
import threading

import outboard

PATIENCE_S = outboard.PATIENCE_S
MIB = 1 << 20
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
ETH_P_ALL = 3
DATAGRAM = socket.SOCK_DGRAM
NUMBERS = itertools.count()


def run(*words, check=True, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: status {done.returncode}: {done.stdout}")
    return done.stdout if check else done


class Namespace:
    def __init__(self, label="ns"):
        self.name = f"obt{os.getpid()}-{label}{next(NUMBERS)}"
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def delete(self):
        if os.path.exists(self.path):
            run("ip", "netns", "delete", self.name)

    @property
    def prefix(self):
        return ("nsenter", f"--net={self.path}")

    def run(self, *words, check=True):
        return run(*self.prefix, *words, check=check)

    def start(self, *words, **more):
        return subprocess.Popen([*self.prefix, *words], stdin=subprocess.DEVNULL, **more)

    def inside(self, function):
        """What the function returns, when called by a thread that is in this namespace: sockets that it opens are of there."""
        result = []

        def go():
            try:
                with open(self.path) as place:
                    if LIBC.setns(place.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
                result.append((function(), None))
            except BaseException as error:
                result.append((None, error))
        thread = threading.Thread(target=go)
        thread.start()
        thread.join()
        value, error = result[0]
        if error is not None:
            raise error
        return value

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        made = self.inside(lambda: socket.socket(family, kind, protocol))
        made.settimeout(PATIENCE_S)
        return made

    def address(self, interface, *addresses):
        for address in addresses:
            self.run("ip", "address", "replace", address, "dev", interface, *(("nodad",) if ":" in address else ()))

    def mac(self, interface):
        return self.run("ip", "-o", "link", "show", interface).split("link/ether ")[1].split()[0]

    def interfaces(self):
        return {line.split(": ")[1].split("@")[0] for line in self.run("ip", "-o", "link", "show").splitlines()}

    def counters(self, interface):
        """{"rx_packets": ...} of an interface."""
        names = ["rx_bytes", "rx_packets", *[None] * 6, "tx_bytes", "tx_packets"]
        for line in self.run("cat", "/proc/net/dev").splitlines():
            name, _, figures = line.partition(":")
            if name.strip() == interface:
                return {key: int(value) for key, value in zip(names, figures.split()) if key}
        raise AssertionError(f"{self.name} has no {interface}")


def link(left, left_name, right, right_name, mtu=1500):
    """A veth pair. Checksums are computed before a frame goes on it: a packet socket, which is the card's wire, sees them as they are."""
    run("ip", "link", "add", left_name, "netns", left.name, "mtu", str(mtu), "type", "veth", "peer", "name", right_name, "netns",
        right.name, "mtu", str(mtu))
    for namespace, name in ((left, left_name), (right, right_name)):
        namespace.run("ethtool", "-K", name, "tx", "off")
        namespace.run("ip", "link", "set", name, "up")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Sniffer:
    """Frames that an interface receives (and, with `sent`, sends), from now until frames() is called."""

    def __init__(self, namespace, interface, sent=False):
        self.sent = sent
        self.socket = namespace.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * MIB)
        self.socket.bind((interface, 0))
        self.found, self.ending = [], False
        self.thread = threading.Thread(target=self._collect)
        self.thread.start()

    def _collect(self):
        while True:
            if not select.select([self.socket], [], [], 0.05)[0]:
                if self.ending:
                    return
                continue
            try:
                frame, address = self.socket.recvfrom(1 << 17)
            except OSError:
                return
            if self.sent or address[2] != socket.PACKET_OUTGOING:
                self.found.append(frame)

    def frames(self):
        self.ending = True
        self.thread.join()
        self.socket.close()
        return self.found


@contextlib.contextmanager
def sniff(namespace, interface, sent=False):
    """The frames, as a list that is whole when the block has ended."""
    sniffer, frames = Sniffer(namespace, interface, sent), []
    try:
        yield frames
    finally:
        frames += sniffer.frames()


class Listener:
    """A TCP server: what a client sends is kept as a checksum, its number of bytes is counted, and it gets `answer`."""

    def __init__(self, namespace, address, port, answer=b""):
        self.answer, self.digest, self.bytes, self.error = answer, None, 0, None
        self.socket = namespace.socket(family_of(address))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            connection, self.peer = self.socket.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                digest = hashlib.sha256()
                while chunk := connection.recv(1 << 18):
                    digest.update(chunk)
                    self.bytes += len(chunk)
                self.digest = digest.hexdigest()
                connection.sendall(self.answer)
        except OSError as error:
            self.error = error

    def finish(self):
        self.thread.join(PATIENCE_S)
        self.socket.close()
        if self.error is not None:
            raise self.error
        return self.digest


def connect(namespace, address, port, source=None, timeout=PATIENCE_S):
    s = namespace.socket(family_of(address))
    s.settimeout(timeout)
    try:
        if source is not None:
            s.bind(source)
        s.connect((address, port))
    except BaseException:
        s.close()
        raise
    return s


def receive_all(s):
    parts = []
    while chunk := s.recv(1 << 18):
        parts.append(chunk)
    return b"".join(parts)


def transfer(source, destination, address, port=5000, size=20 * MIB, back=MIB):
    """TCP from one namespace to `address` in another one, and a shorter answer: every byte is checked. Where the client was seen from."""
    data, answer = random.randbytes(size), random.randbytes(back)
    listener = Listener(destination, address, port, answer)
    with connect(source, address, port) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        said = receive_all(s)
    assert listener.finish() == hashlib.sha256(data).hexdigest(), "what arrived is not what was sent"
    assert said == answer, "the answer that arrived is not what was sent"
    return listener.peer[0]


def exchange(source, destination, address, port=5001, sizes=(1, 100, 1400)):
    """UDP there and back, in datagrams of these sizes."""
    with destination.socket(family_of(address), socket.SOCK_DGRAM) as server, source.socket(family_of(address), socket.SOCK_DGRAM) as client:
        server.bind((address, port))
        client.connect((address, port))
        for size in sizes:
            data = random.randbytes(size)
            client.send(data)
            received, sender = server.recvfrom(1 << 16)
            assert received == data, f"a datagram of {size} bytes arrived as {len(received)}, or changed"
            server.sendto(data[::-1], sender)
            assert client.recv(1 << 16) == data[::-1], f"the answer to a datagram of {size} bytes changed"


def ping(namespace, address, *words, check=True):
    """True: an answer came. With check=False it may be that none does."""
    return namespace.run("busybox", "ping", "-c", "1", "-W", "20" if check else "1", *words, address, check=check)


def wait_ping(namespace, address):
    """The first packets wait for nobody: neighbours of the underlay are asked for only when there is something for them."""
    outboard.wait_for(f"an answer of {address}", lambda: ping(namespace, address, check=False).returncode == 0)


class Card(outboard.Outboard):
    """A card in a namespace of its own, with its wires (as --wire takes them) there."""

    def __init__(self, folder, namespace=None, wires=(), core=None, flows=65536):
        os.makedirs(folder, exist_ok=True)
        words = [word for wire in wires for word in ("--wire", wire)] + ["--flows", str(flows)]
        if core is not None:
            with open(os.path.join(folder, "outboard.conf"), "w") as f:
                f.write(f"[card]\ncores = {core}\n")
            words += ["--config", os.path.join(folder, "outboard.conf")]
        super().__init__(folder, *words, prefix=() if namespace is None else namespace.prefix)

    def load(self, **objects):
        """All or nothing; what is there already is changed."""
        return self.ask("POST", "/v1/vpc-load", objects)

    def eni(self, name):
        return self.ask("GET", f"/v1/enis/{name}")

    def attach_tap(self, name, namespace, interface="eth0"):
        self.ask("POST", f"/v1/enis/{name}/attachment", {"kind": "tap", "tap": interface, "netns": namespace.name})

    def attach_nic(self, name, **fields):
        """The socket."""
        return self.ask("POST", f"/v1/enis/{name}/attachment", {"kind": "vhost-user", **fields})["socket"]

    def detach_eni(self, name):
        self.ask("DELETE", f"/v1/enis/{name}/attachment")

    def eni_state(self, name):
        attachment = self.eni(name)["attachment"]
        return attachment and attachment["state"]

    def wait_eni(self, name, state="connected"):
        outboard.wait_for(f"ENI {name} to be {state}", lambda: self.eni_state(name) == state)

    def eni_stats(self, name):
        return self.ask("GET", f"/v1/enis/{name}/stats")

    def stats(self):
        name = self.ask("GET", "/v1/cards")[0]["name"]
        return self.ask("GET", f"/v1/cards/{name}/stats")

    def wire(self, number=0):
        return self.stats()["network"]["wires"][number]


OPEN = [{"direction": "ingress", "protocol": "all", "cidr": block} for block in ("0.0.0.0/0", "::/0")]


def vpc(name="v", enis=(), encapsulation="vxlan", vni=4242, rules=tuple(OPEN), **more):
    """What to load for a VPC of one subnet, with a group that lets everybody in. `enis`: (name, last number of its addresses, more)."""
    return {"vpcs": [{"name": name, "cidrs": ["10.0.0.0/16", "fd00:1::/64"], "vni": vni, "encapsulation": encapsulation, **more}],
            "subnets": [{"name": "s", "vpc": name, "cidr": "10.0.1.0/24", "cidr6": "fd00:1::/64"}],
            "security_groups": [{"name": "g", "vpc": name, "rules": list(rules) + [
                {"direction": "egress", "protocol": "all", "cidr": block} for block in ("0.0.0.0/0", "::/0")]}],
            "enis": [{"name": eni, "subnet": "s", "addresses": [f"10.0.1.{number}", f"fd00:1::{number}"], "mac": f"02:00:0a:00:01:{number:02x}",
                      "security_groups": ["g"], **fields} for eni, number, fields in enis]}


def settle(namespace, number, interface="eth0"):
    """The addresses that vpc() gave an ENI, on its tap, with routes to all others."""
    namespace.run("ip", "link", "set", interface, "up")
    namespace.address(interface, f"10.0.1.{number}/24", f"fd00:1::{number}/64")
    namespace.run("ip", "route", "replace", "default", "via", "10.0.1.1", "dev", interface)
