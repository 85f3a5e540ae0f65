#!/usr/bin/python3
"""A Linux guest in QEMU, and what it notices when the card, the vault, everything, or its QEMU dies in the middle of its writes."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import guest
import outboard
import tap

# Writes a file again and again, and compares each time what the disk has; ends when /tmp/enough exists, after one more time.
WRITER = """
n=0
while :; do
	last=$([ -e /tmp/enough ] && echo yes || true)
	head -c 1500000 /dev/urandom >/tmp/{name}.data
	dd if=/tmp/{name}.data of={where}/{name} bs=100k conv=fsync 2>/dev/null
	dd if={where}/{name} bs=1500000 iflag=direct 2>/dev/null | cmp - /tmp/{name}.data
	n=$((n + 1))
	echo $n >/tmp/{name}.rounds.new
	mv /tmp/{name}.rounds.new /tmp/{name}.rounds
	[ -z "$last" ] || exit 0
done
"""


class Faults(guest.WithGuests):
    """A guest of its own for each test: something dies in it."""

    def setUp(self):
        self.number = getattr(type(self), "number", 0) + 1
        type(self).number = self.number
        self.volumes = []

    def tearDown(self):
        self.guest.kill_9()
        for name in self.volumes:
            self.card.call("volume", "detach", name)

    def boot_with(self, *volumes):
        """Volumes of (name, options of create, flags of guest-run), mounted under /mnt/NAME."""
        self.disks, self.mounts = [], {}
        for name, options, flags in volumes:
            self.card.volume(name, *options)
            self.disks.append(self.card.attach(name, "--queues", "2") + flags)
            self.volumes.append(name)
        self.guest = self.boot(f"guest{self.number}", self.disks, cpus=2)
        for device, (name, _, _) in zip(("vda", "vdb"), volumes):
            self.mounts[name] = f"/mnt/{name}"
            self.guest.run(guest.write_files(f"/dev/{device}", f"/mnt/{name}"))

    def start_writers(self):
        self.writers = []
        for name, where in self.mounts.items():
            for i in (1, 2):
                self.writers.append(f"{name}-{i}")
                self.guest.run(f"echo 0 >/tmp/{self.writers[-1]}.rounds")
                self.guest.start(self.writers[-1], WRITER.format(name=self.writers[-1], where=where))
        self.see_them_write()

    def rounds(self, writer):
        self.assertTrue(self.guest.running(writer), f"{writer} ended; the card says:\n{self.card.log()}")
        return int(self.guest.run(f"cat /tmp/{writer}.rounds"))

    def see_them_write(self):
        """Each of them, from now on."""
        before = {writer: self.rounds(writer) for writer in self.writers}
        for writer in self.writers:
            outboard.wait_for(f"{writer} to write", lambda: self.rounds(writer) > before[writer] + 1)

    def check_all(self):
        """The writers found everything they wrote, nobody saw an error, and what was there before is there still."""
        self.guest.run("touch /tmp/enough")
        for writer in self.writers:
            self.guest.finish(writer)
        self.assertEqual(self.guest.errors(), "")
        for device, where in zip(("/dev/vda", "/dev/vdb"), self.mounts.values()):
            self.guest.run(guest.check_files(device, where) + f"umount {where}\ne2fsck -fn {device}")

    def test_card_killed(self):
        self.boot_with(("c1", ["--encrypted"], ",packed,queues=2"), ("c2", ["--backend", "memory", "--encrypted"], ",queues=2"))
        self.start_writers()
        for _ in range(3):
            self.card.kill_9("card")
            self.see_them_write()
        self.check_all()

    def kill_card_with_requests_inside(self, packed):
        """They stand in the in-flight record; the next card does them again, and the guest gets its answers."""
        def caught():
            os.kill(self.card.pid("card"), signal.SIGSTOP)
            if self.guest.in_flight(packed) > 0:
                return True
            os.kill(self.card.pid("card"), signal.SIGCONT)
            return False

        self.start_writers()
        for _ in range(3):
            outboard.wait_for("requests inside", caught)
            self.card.kill_9("card")
            self.see_them_write()
        self.check_all()

    def test_card_killed_with_requests_inside_split(self):
        self.boot_with(("is", ["--encrypted"], ",queues=2"))
        self.kill_card_with_requests_inside(packed=False)

    def test_card_killed_with_requests_inside_packed(self):
        self.boot_with(("ip", ["--encrypted"], ",packed,queues=2"))
        self.kill_card_with_requests_inside(packed=True)

    def test_card_killed_while_an_allowance_is_used_up(self):
        """Requests that wait for it stay in the ring (ARCHITECTURE.md, "The throttle holds requests at the ring"),
        and are found there."""
        self.boot_with(("f1", ["--encrypted"], ",queues=2"), ("f2", ["--backend", "memory"], ",packed,queues=2"))
        self.start_writers()
        for name in self.mounts:
            self.card.call("volume", "limit", name, "--iops", "3")
        for name in self.mounts:
            outboard.wait_for("requests that wait", lambda: self.held(name) > 0)
        self.card.kill_9("card")
        for name in self.mounts:
            self.lift(name)
        self.see_them_write()
        self.check_all()

    def lift(self, name):
        """The limit; again while control, which brings the volume to the new card, says that the volume is busy."""
        def lifted():
            error = self.card.call("volume", "limit", name, "--iops", "0", check=False).get("error")
            self.assertIn(error and error["code"], (None, "volume_busy"), error)
            return error is None
        outboard.wait_for(f"the limit of {name} to go", lifted)

    def held(self, name):
        return (self.card.counter("outboard_queue_arrivals_total", name, stage="held") -
                self.card.counter("outboard_queue_departures_total", name, stage="held"))

    def test_vault_and_control_killed(self):
        self.boot_with(("v1", ["--encrypted"], ",packed,queues=2"))
        self.start_writers()
        connects = self.card.counter("outboard_volume_connects_total", "v1")
        for name in ("vault", "control", "vault"):
            self.card.kill_9(name)
        self.see_them_write()
        self.assertEqual(self.card.counter("outboard_volume_connects_total", "v1"), connects, "QEMU had to connect again")
        self.check_all()
        self.card.volume("v2", "--encrypted")
        self.volumes.append("v2")
        self.assertTrue(self.card.attach("v2"))

    def test_everything_stopped_and_started(self):
        self.boot_with(("s1", ["--encrypted"], ",packed,queues=2"), ("s2", ["--block-size", "512"], ",queues=2"))
        self.start_writers()
        self.card.stop()
        self.card.start()
        for disk, name in zip(self.disks, self.mounts):
            self.assertEqual(self.card.call("volume", "show", name)["attachment"]["socket"], disk.split(",")[0])
        self.see_them_write()
        self.check_all()

    def test_qemu_killed(self):
        self.boot_with(("q1", ["--encrypted"], ",packed,queues=2"), ("q2", ["--encrypted", "--block-size", "512"], ",queues=2"))
        self.start_writers()
        self.guest.kill_9()
        self.guest = self.boot(f"guest{self.number}-again", self.disks, cpus=2)
        for device, where in zip(("/dev/vda", "/dev/vdb"), self.mounts.values()):
            status, said = self.guest.try_run(f"e2fsck -p {device}")
            self.assertIn(status, (0, 1), said)  # 1: the journal was replayed
            self.guest.run(f"e2fsck -fn {device}\n" + guest.check_files(device, where))
        self.assertEqual(self.guest.errors(), "")


if __name__ == "__main__":
    tap.main()
