"""What the network benchmarks share: a card with a wire that leads nowhere (DPDK's null device), a load client that is measured from
the middle of its run, and the peers, each on core CARD_CORE: Open vSwitch with DPDK, and testpmd. Open vSwitch lives in a network
namespace of its own, so that nothing of it is left behind."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import rig

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
EAL = "--in-memory --no-pci --iova-mode=va --no-telemetry"
VNI = 4096
WIRE, REMOTE, REMOTE_MAC = "192.0.2.1", "192.0.2.2", "02:00:00:00:00:bb"
ROUTED = "198.51.100.2"  # a host beyond the gateway, whose MAC is known: nobody answers ARP on a null wire
MEMORY_MIB = 1024
GATEWAY_MAC = "0e:00:00:00:00:01"
GUEST, GUEST_MAC = "10.0.0.10", "02:00:00:00:00:0a"
FAR = "10.128.0.10"  # the first of the addresses that live on the other host
HUGE_PAGES = 1600
LEAD_S = 1.5  # until flows are there and caches warm


class Card(rig.Outboard):
    """A card with a null wire: `with Card() as card:`"""

    def __init__(self, *lines):
        super().__init__(f"wire = address={WIRE}/24;gateway=192.0.2.254;gateway-mac={REMOTE_MAC};device=net_null0,no-rx=1", *lines)

    def load(self, objects):
        self.request("POST", "/v1/vpc-load", objects, 4 * rig.PATIENCE_S)

    def attach(self, eni):
        """Returns its socket."""
        return self.request("POST", f"/v1/enis/{eni}/attachment", {"kind": "vhost-user"})["socket"]

    def counters(self):
        """Packets that left by the wire, what the poller was busy with, and the clock of these figures."""
        stats = self.get("/v1/cards/local/stats")
        network, poller = stats["network"], stats["pollers"][0]
        return {"seconds": time.monotonic(), "sent": network["wires"][0]["out"]["packets"], "busy_ns": poller["busy_ns"],
                "packets": network["packets"], "flows_created": network["flows_created"], "flows": network["flows"],
                "drops": sum(network["drops"].values()) + sum(sum(e["drops"].values()) for e in stats["enis"]),
                "stages": {stage["name"]: stage["cycles"] for stage in network["stages"]}}


def vpc(groups, far_addresses):
    """One guest here, and so many addresses on another host, in the load file's form."""
    far = [{"name": f"far{i}", "subnet": "far", "host": "other", "addresses": [address_after(FAR, i)]} for i in range(far_addresses)]
    return {
        "hosts": [{"name": "other", "address": ROUTED}],
        "vpcs": [{"name": "vpc", "cidrs": ["10.0.0.0/8"], "vni": VNI}],
        "subnets": [{"name": "here", "vpc": "vpc", "cidr": "10.0.0.0/16"}, {"name": "far", "vpc": "vpc", "cidr": "10.128.0.0/9"}],
        "security_groups": groups,
        "enis": [{"name": "guest", "subnet": "here", "addresses": [GUEST], "mac": GUEST_MAC,
                  "security_groups": [group["name"] for group in groups]}, *far],
    }


def address_after(address, count):
    number = int.from_bytes(bytes(map(int, address.split("."))), "big") + count
    return ".".join(map(str, number.to_bytes(4, "big")))


def guest_options(*more):
    return ("--source-ip", GUEST, "--source-mac", GUEST_MAC, "--destination-ip", FAR, "--gateway-mac", GATEWAY_MAC, *more)


def ticks_per_ns():
    """Of the time stamp counter, as the load client measures it too."""
    with open("/proc/cpuinfo") as f:
        return float(re.search(r"cpu MHz\s*: ([\d.]+)", f.read()).group(1)) / 1000


def client(*arguments):
    line = [rig.executable("outboard"), "bench", "net", *arguments, "--json", "--cpu", str(rig.CLIENT_CORE)]
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def finish(process):
    """The client's own account of its run."""
    text = process.communicate()[0]
    result = json.loads(text or "{}")
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(process.args)}: {result.get('error')}")
    return result


def measure(look, seconds, *arguments):
    """What `look` counts while the client runs, the beginning and the end of the run left out; and the client's account."""
    process = client(*arguments, "--duration", str(int(seconds + 2 * LEAD_S)))
    time.sleep(LEAD_S)
    before = look()
    time.sleep(seconds)
    after = look()
    return before, after, finish(process)


class Ovs:
    """A guest's vhost-user port and a VXLAN tunnel over a null wire. `conntrack`: what is new is committed, what is established
    passes, as a stateful security group does; without: everything from the guest goes into the tunnel."""

    def __init__(self, conntrack):
        self.conntrack = conntrack

    def __enter__(self):
        rig.need("ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", VSWITCHD)
        self.folder = tempfile.mkdtemp(prefix="outboard-ovs-", dir="/dev/shm")
        self.namespace = f"ob-ovs-{os.getpid()}"
        self.processes = []
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            rig.stop(process)
        subprocess.run(["ip", "netns", "del", self.namespace], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _inside(self, *arguments):
        done = subprocess.run(["ip", "netns", "exec", self.namespace, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env={**os.environ, "OVS_RUNDIR": self.folder})
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def _daemon(self, *arguments):
        with open(self._path("log"), "a") as log:
            environment = {**os.environ, "OVS_RUNDIR": self.folder, "OVS_LOGDIR": self.folder, "OVS_DBDIR": self.folder}
            process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *arguments], stdout=log, stderr=log, env=environment)
        self.processes.append(process)
        return process

    def _vsctl(self, *arguments):
        return self._inside("ovs-vsctl", "--timeout=30", f"--db=unix:{self._path('db.sock')}", *arguments)

    def _start(self):
        self._inside("ovsdb-tool", "create", self._path("conf.db"), SCHEMA)
        database = self._daemon("ovsdb-server", self._path("conf.db"), f"--remote=punix:{self._path('db.sock')}",
                                f"--unixctl={self._path('db.ctl')}")
        rig.wait_until(lambda: os.path.exists(self._path("db.sock")), "ovsdb-server", database)
        self._vsctl("--no-wait", "init")
        self._vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true", f'other_config:dpdk-extra="{EAL}"',
                    f"other_config:dpdk-alloc-mem={MEMORY_MIB}", f"other_config:pmd-cpu-mask={1 << rig.CARD_CORE:#x}",
                    f"other_config:dpdk-lcore-mask={1 << rig.CLIENT_CORE:#x}")
        switch = self._daemon(VSWITCHD, f"unix:{self._path('db.sock')}", f"--unixctl={self._path('ctl')}")
        rig.wait_until(lambda: os.path.exists(self._path("ctl")), "ovs-vswitchd", switch)
        self._wire()
        self._guest()
        self._flows()
        self.socket = self._path("vm")
        rig.wait_until(lambda: os.path.exists(self.socket), "the vhost-user port", switch)

    def _wire(self):
        self._vsctl("add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev")
        self._vsctl("add-port", "br-phy", "wire", "--", "set", "Interface", "wire", "type=dpdk",
                    "options:dpdk-devargs=net_null0,no-rx=1")
        self._inside("ip", "address", "add", f"{WIRE}/24", "dev", "br-phy")
        self._inside("ip", "link", "set", "br-phy", "up")
        self._appctl("tnl/neigh/set", "br-phy", REMOTE, REMOTE_MAC)

    def _guest(self):
        self._vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail_mode=secure")
        self._vsctl("add-port", "br-int", "vm", "--", "set", "Interface", "vm", "type=dpdkvhostuser", "ofport_request=1")
        self._vsctl("add-port", "br-int", "tunnel", "--", "set", "Interface", "tunnel", "type=vxlan", f"options:remote_ip={REMOTE}",
                    f"options:key={VNI}", "ofport_request=2")

    def _flows(self):
        if not self.conntrack:
            self._flow("in_port=1,actions=output:2")
            return
        self._flow("table=0,ip,actions=ct(table=1)")
        self._flow("table=1,in_port=1,ip,ct_state=+trk+new,actions=ct(commit),output:2")
        self._flow("table=1,in_port=1,ip,ct_state=+trk+est,actions=output:2")
        self._flow("table=1,in_port=2,ip,ct_state=+trk+est,actions=output:1")

    def _flow(self, flow):
        self._inside("ovs-ofctl", "add-flow", f"unix:{self._path('br-int.mgmt')}", flow)

    def _appctl(self, *arguments):
        return self._inside("ovs-appctl", "-t", self._path("ctl"), *arguments)

    def counters(self):
        """What left through the wire."""
        text = self._inside("ovs-ofctl", "dump-ports", f"unix:{self._path('br-phy.mgmt')}", "wire")
        return {"seconds": time.monotonic(), "sent": int(re.search(r"tx pkts=(\d+)", text).group(1))}


class Testpmd:
    """testpmd with a vhost-user port and a null port, or two vhost-user ports: the ceiling of a generator."""

    def __init__(self, forward="io", vhost_ports=1):
        self.forward, self.vhost_ports = forward, vhost_ports

    def __enter__(self):
        rig.need("dpdk-testpmd")
        self.folder = tempfile.mkdtemp(prefix="outboard-testpmd-", dir="/dev/shm")
        self.sockets = [os.path.join(self.folder, f"vm{i}") for i in range(self.vhost_ports)]
        devices = [f"--vdev=net_vhost{i},iface={path}" for i, path in enumerate(self.sockets)]
        if self.vhost_ports == 1:
            devices.append("--vdev=net_null0,no-rx=1")
        core = rig.CARD_CORE
        arguments = ["dpdk-testpmd", *EAL.split(), "-m", str(MEMORY_MIB), "--lcores", f"0@{rig.CLIENT_CORE},1@{core}", *devices, "--",
                     f"--forward-mode={self.forward}", "--auto-start", "--stats-period=3600", "--no-flush-rx"]
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            rig.wait_until(lambda: all(os.path.exists(path) for path in self.sockets), "testpmd", self.process)
        except BaseException:
            self.__exit__()
            raise
        self.socket = self.sockets[0]
        return self

    def __exit__(self, *_):
        rig.stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)
