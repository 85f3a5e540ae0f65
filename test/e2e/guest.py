#!/usr/bin/python3
"""The card under an unmodified Linux guest in QEMU: a vhost-user client and a virtio driver that were written by others.

A guest is booted for a class of tests. What happens to guests when something dies: guest_faults.py.
"""
import functools
import hashlib
import os
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import guest
import outboard
import tap

MIB = 1 << 20

# Bits of virtio features (VIRTIO 1.2, 5.2.3 and 6): a disk of sysfs shows which of them the guest took.
RO, BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES = 5, 6, 9, 10, 11, 12, 13, 14
INDIRECT, EVENT_IDX, VERSION_1, PACKED = 28, 29, 32, 34


class Disks(guest.WithGuests):
    """One guest with five disks, which the card serves each in another way."""
    disks = {"enc": "vda", "enc512": "vdb", "plain": "vdc", "mem": "vdd", "ro": "vde"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.image = os.path.join(cls.folder, "image")
        with open(cls.image, "wb") as f:
            f.write(os.urandom(4 * MIB))
        cls.card.volume("enc", "--encrypted")
        cls.card.volume("enc512", "--encrypted", "--block-size", "512")
        cls.card.volume("plain", "--block-size", "512")
        cls.card.volume("mem", "--backend", "memory", "--encrypted")
        cls.card.call("volume", "import", "ro", cls.image, "--create")
        cls.guest = cls.boot("one", [
            cls.card.attach("enc", "--no-packed") + ",queues=1",
            cls.card.attach("enc512", "--queues", "2") + ",packed,queues=2",
            cls.card.attach("plain") + ",packed,queues=1",
            cls.card.attach("mem", "--queues", "4") + ",queues=2",
            cls.card.attach("ro", "--read-only") + ",packed,queues=1"], cpus=2)

    def tearDown(self):
        self.assertEqual(self.guest.errors(), "")
        self.guest.run("dmesg -c >/dev/null; umount -a -t ext4")

    def sysfs(self, name, path):
        return self.guest.run(f"cat /sys/block/{self.disks[name]}/{path}")

    def test_a_failure_in_the_guest_is_seen(self):
        """What all the others stand on."""
        for script in ("false\ntrue", "true | cat /no-such-file", "exit 3"):
            with self.assertRaises(guest.Broken):
                self.guest.run(script)
        self.guest.start("bad", "cmp /init /bin/busybox")
        with self.assertRaises(guest.Broken):
            self.guest.finish("bad")

    def wait_requests(self, name, count):
        before = self.card.counter("outboard_queue_arrivals_total", name, stage="device")
        outboard.wait_for("load", lambda: self.card.counter("outboard_queue_arrivals_total", name, stage="device") > before + count)

    # --- what the guest is told ---

    def test_features(self):
        always = {BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE, INDIRECT, EVENT_IDX, VERSION_1}
        for name, more in (("enc", {DISCARD, WRITE_ZEROES}), ("enc512", {DISCARD, WRITE_ZEROES, MQ, PACKED}),
                           ("plain", {DISCARD, WRITE_ZEROES, PACKED}), ("mem", {DISCARD, WRITE_ZEROES, MQ}), ("ro", {RO, PACKED})):
            with self.subTest(disk=name):
                bits = {bit for bit, value in enumerate(self.sysfs(name, "device/features")) if value == "1"}
                self.assertEqual((always | more) - bits, set(), "features that the guest did not get")
                self.assertEqual(({RO, MQ, PACKED} - more) & bits, set(), "features that this disk does not have")

    def test_sizes_and_blocks(self):
        for name, block in (("enc", 4096), ("enc512", 512), ("plain", 512), ("mem", 4096), ("ro", 4096)):
            with self.subTest(disk=name):
                self.assertEqual(int(self.sysfs(name, "size")) * 512, self.card.call("volume", "show", name)["size_bytes"])
                self.assertEqual(int(self.sysfs(name, "queue/logical_block_size")), block)
                self.assertEqual(int(self.sysfs(name, "queue/physical_block_size")), 4096)

    def test_queues(self):
        for name, queues in (("enc", "0"), ("enc512", "0 1"), ("plain", "0"), ("mem", "0 1")):
            with self.subTest(disk=name):
                self.assertEqual(self.guest.run(f"echo $(ls /sys/block/{self.disks[name]}/mq)"), queues)

    def test_serials_differ_and_stay(self):
        serials = {name: self.sysfs(name, "serial") for name in self.disks}
        self.assertEqual(len(set(serials.values()) - {""}), len(self.disks), serials)
        self.assertEqual({name: self.sysfs(name, "serial") for name in self.disks}, serials)

    # --- file systems ---

    def file_system(self, name):
        device = f"/dev/{self.disks[name]}"
        self.guest.run(guest.write_files(device) + f"umount /mnt\ne2fsck -fn {device}\n" + guest.check_files(device))
        trimmed = self.guest.run(f"rm /mnt/random4\nsed -i /random4/d /mnt/sums\nsync\nfstrim -v /mnt")
        self.assertGreater(int(trimmed.split()[-3]), 2000000, trimmed)
        self.guest.run("echo 3 >/proc/sys/vm/drop_caches\ncd /mnt\nsha256sum -c sums\ncd /\numount /mnt\n" + f"e2fsck -fn {device}")

    def test_ext4_encrypted_split(self):
        self.file_system("enc")

    def test_ext4_encrypted_512_packed_two_queues(self):
        self.file_system("enc512")

    def test_ext4_plain_packed(self):
        self.file_system("plain")

    def test_ext4_memory_split_two_queues(self):
        self.file_system("mem")

    # --- requests ---

    def test_discard_gives_space_back_and_spares_its_neighbours(self):
        backing = self.card.call("volume", "show", "plain")["path"]
        self.guest.run("head -c 8m /dev/urandom >/tmp/d; dd if=/tmp/d of=/dev/vdc bs=1M oflag=direct conv=fsync 2>/dev/null")
        used = os.stat(backing).st_blocks
        self.guest.run("/sbin/blkdiscard -o 2M -l 4M /dev/vdc; dd if=/dev/vdc of=/tmp/r bs=1M count=8 iflag=direct 2>/dev/null")
        self.assertLessEqual(os.stat(backing).st_blocks, used - 4 * MIB // 512)
        self.guest.run("( head -c 2m /tmp/d; head -c 4m /dev/zero; tail -c 2m /tmp/d ) | cmp - /tmp/r; rm /tmp/d /tmp/r")

    def test_discard_of_an_encrypted_volume(self):
        """What is discarded is gone; it reads as noise, as with dm-crypt (src/volume/volume.h)."""
        self.guest.run(f"""
yes "{guest.PHRASE}" | head -c 4m >/tmp/d
dd if=/tmp/d of=/dev/vda bs=1M oflag=direct conv=fsync 2>/dev/null
/sbin/blkdiscard -o 1M -l 2M /dev/vda
dd if=/dev/vda of=/tmp/r bs=1M count=4 iflag=direct 2>/dev/null
[ "$(dd if=/tmp/r bs=1M skip=1 count=2 2>/dev/null | grep -c '{guest.PHRASE}')" = 0 ]
head -c 1m /tmp/d >/tmp/a; head -c 1m /tmp/r | cmp - /tmp/a
tail -c 1m /tmp/d >/tmp/a; tail -c 1m /tmp/r | cmp - /tmp/a
rm /tmp/a /tmp/d /tmp/r""")

    def test_write_zeroes(self):
        for name in ("enc", "enc512", "plain", "mem"):
            with self.subTest(disk=name):
                device = f"/dev/{self.disks[name]}"
                before = self.card.counter("outboard_queue_bytes_total", name, stage="device")
                self.guest.run(f"""
head -c 8m /dev/urandom >/tmp/d
dd if=/tmp/d of={device} bs=1M oflag=direct 2>/dev/null
/sbin/blkdiscard -z -o 4096 -l 6M {device}
dd if={device} of=/tmp/r bs=1M count=8 iflag=direct 2>/dev/null
( head -c 4096 /tmp/d; head -c 6m /dev/zero; tail -c 2093056 /tmp/d ) | cmp - /tmp/r
rm /tmp/d /tmp/r""")
                self.assertGreaterEqual(self.card.counter("outboard_queue_bytes_total", name, stage="device") - before, 16 * MIB)

    def test_one_sector_of_512(self):
        for name in ("enc512", "plain"):
            with self.subTest(disk=name):
                device = f"/dev/{self.disks[name]}"
                self.guest.run(f"""
head -c 8192 /dev/urandom >/tmp/d
dd if=/tmp/d of={device} bs=8192 oflag=direct 2>/dev/null
yes x | head -c 512 | dd of={device} bs=512 seek=5 oflag=direct 2>/dev/null
dd if={device} of=/tmp/r bs=512 count=16 iflag=direct 2>/dev/null
( head -c 2560 /tmp/d; yes x | head -c 512; tail -c 5120 /tmp/d ) | cmp - /tmp/r
rm /tmp/d /tmp/r""")

    def test_large_requests(self):
        """As large as the guest makes them, over many segments, at odd places."""
        for name in ("enc", "enc512", "plain", "mem"):
            with self.subTest(disk=name):
                device = f"/dev/{self.disks[name]}"
                self.guest.run(f"""
cat /sys/block/{self.disks[name]}/queue/max_hw_sectors_kb >/sys/block/{self.disks[name]}/queue/max_sectors_kb
head -c 24m /dev/urandom >/tmp/d
dd if=/tmp/d of={device} bs=4M seek=12k oflag=direct,seek_bytes 2>/dev/null
dd if={device} bs=12k skip=1 count=2048 iflag=direct 2>/dev/null | cmp - /tmp/d
dd if={device} bs=8M skip=12k count=3 iflag=direct,skip_bytes 2>/dev/null | cmp - /tmp/d
rm /tmp/d""")

    def test_flush_and_cache_mode(self):
        """Write back: the guest flushes. Write through: it does not; completed is durable (5.2.6.2).

        The card then writes with RWF_DSYNC, which is one request to the back end; that it does is test/unit/volume's."""
        def requests(stage):
            return self.card.counter("outboard_queue_arrivals_total", "enc", stage=stage)

        self.assertEqual(self.sysfs("enc", "cache_type"), "write back")
        for mode, count in (("write back", 2), ("write through", 1)):
            with self.subTest(mode=mode):
                self.guest.run(f"echo '{mode}' >/sys/block/vda/cache_type")
                self.assertEqual(self.sysfs("enc", "cache_type"), mode)
                self.assertEqual(self.sysfs("enc", "queue/write_cache"), mode)
                before = requests("device"), requests("backend")
                self.guest.run("dd if=/dev/zero of=/dev/vda bs=4096 count=1 oflag=direct conv=fsync 2>/dev/null")
                self.assertEqual((requests("device") - before[0], requests("backend") - before[1]), (count, count))
        self.guest.run("echo 'write back' >/sys/block/vda/cache_type")
        self.assertEqual(self.sysfs("enc", "cache_type"), "write back")

    def test_read_only(self):
        self.assertEqual(self.sysfs("ro", "ro"), "1")
        with open(self.image, "rb") as f:
            wanted = hashlib.sha256(f.read()).hexdigest()
        self.assertEqual(self.guest.run("sha256sum </dev/vde").split()[0], wanted)
        self.assertNotEqual(self.guest.try_run("dd if=/dev/zero of=/dev/vde bs=4096 count=1 oflag=direct")[0], 0)
        self.assertNotEqual(self.guest.try_run("/sbin/blkdiscard /dev/vde")[0], 0)
        self.assertEqual(self.guest.run("dd if=/dev/vde bs=1M iflag=direct 2>/dev/null | sha256sum").split()[0], wanted)

    # --- the disk changes ---

    def test_resize_under_load(self):
        for name in ("enc", "mem"):
            with self.subTest(disk=name):
                device = self.disks[name]
                old = int(self.sysfs(name, "size")) * 512
                self.guest.start("load", f"""
head -c 8m /dev/urandom >/tmp/d
while [ ! -e /tmp/enough ]; do
	dd if=/tmp/d of=/dev/{device} bs=64k oflag=direct 2>/dev/null
	dd if=/dev/{device} bs=64k count=128 iflag=direct 2>/dev/null | cmp - /tmp/d
done
rm /tmp/enough""")
                self.wait_requests(name, 256)
                self.card.call("volume", "resize", name, "--size", str(old + 32 * MIB))
                outboard.wait_for("the guest to see it", lambda: int(self.sysfs(name, "size")) * 512 == old + 32 * MIB)
                self.assertTrue(self.guest.running("load"))
                self.guest.run("touch /tmp/enough")
                self.guest.finish("load")
                self.guest.run(f"""
dd if=/tmp/d of=/dev/{device} bs=1M seek={old // MIB + 24} oflag=direct 2>/dev/null
dd if=/dev/{device} bs=1M skip={old // MIB + 24} iflag=direct 2>/dev/null | cmp - /tmp/d
! dd if=/tmp/d of=/dev/{device} bs=1M seek={old // MIB + 32} oflag=direct 2>/dev/null
rm /tmp/d""")

    def test_reset_in_the_middle_of_writes(self):
        """The machine is reset: the same QEMU, the same connection; the driver of the new kernel finds the disks in order."""
        self.guest.run(guest.write_files("/dev/vda", "/mnt/a") + guest.write_files("/dev/vdb", "/mnt/b"))
        for where in ("a", "b"):
            write = f"dd if=/dev/urandom of=/mnt/{where}/junk bs=256k count=40 conv=fsync 2>/dev/null"
            self.guest.start(f"load-{where}", f"while :; do {write}; done")
        self.wait_requests("enc512", 64)
        self.guest.reset()
        self.guest.run(guest.check_files("/dev/vda", "/mnt/a") + guest.check_files("/dev/vdb", "/mnt/b") +
                       "umount /mnt/a /mnt/b\ne2fsck -fn /dev/vda\ne2fsck -fn /dev/vdb")


class AtRest(guest.WithGuests):
    """What a guest wrote on encrypted disks, opened by others."""
    units = {"unit4096": 4096, "unit512": 512}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        disks = []
        for name, unit in cls.units.items():
            cls.card.volume(name, "--encrypted", "--block-size", str(unit), size="32M")
            disks.append(cls.card.attach(name) + ",packed")
        writer = cls.boot("writer", disks)
        for device in ("vda", "vdb"):
            writer.run(guest.write_files(f"/dev/{device}") + "umount /mnt")
        writer.power_off()
        cls.backing, cls.keys = {}, {}
        for name in cls.units:
            cls.card.call("volume", "detach", name)
            cls.backing[name] = cls.card.call("volume", "show", name)["path"]
            cls.keys[name] = os.path.join(cls.folder, f"{name}.key")
            cls.card.call("key", "export", name, "--out", cls.keys[name])

    @staticmethod
    @functools.cache
    def read(path):
        with open(path, "rb") as f:
            return f.read()

    def decrypt(self, name):
        key, unit, stored, plain = self.read(self.keys[name]), self.units[name], self.read(self.backing[name]), bytearray()
        for number in range(len(stored) // unit):
            tweak = modes.XTS(number.to_bytes(16, "little"))
            plain += Cipher(algorithms.AES(key), tweak).decryptor().update(stored[number * unit:(number + 1) * unit])
        return bytes(plain)

    def test_the_backing_file_says_nothing(self):
        for name in self.units:
            with self.subTest(volume=name):
                stored = self.read(self.backing[name])
                self.assertGreater(len(stored) - stored.count(0), 10 * MIB, "the files that were written")
                for known in (guest.PHRASE.encode(), b"lost+found", b"random1", b"/mnt"):
                    self.assertNotIn(known, stored)
                self.assertNotEqual(stored[1080:1082], b"\x53\xef")

    def test_python_cryptography_opens_it(self):
        for name in self.units:
            with self.subTest(volume=name):
                plain = self.decrypt(name)
                self.assertEqual(plain[1080:1082], b"\x53\xef", "the magic number of ext4's superblock")
                for i in (1, 2, 3, 4):
                    line = f"{guest.PHRASE}, file {i}.\n".encode()
                    self.assertIn((line * (1000000 // len(line) + 1))[:4096], plain)
                for known in (b"lost+found", b"random1"):
                    self.assertIn(known, plain)

    def test_dm_crypt_opens_it(self):
        """As docs/guide.md says, in a guest that has the backing files as ordinary disks."""
        words = []
        for number, name in enumerate(self.units):
            words += ["-drive", f"id=file{number},if=none,format=raw,readonly=on,file={self.backing[name]}",
                      "-device", f"virtio-blk-pci,drive=file{number}"]
        reader = self.boot("reader", [], *words, files=self.keys.values())
        reader.run("for module in $(cat /modules/crypt); do insmod /modules/$module; done")
        for device, options, name in (("vda", "--sector-size 4096 --iv-large-sectors", "unit4096"),
                                      ("vdb", "--sector-size 512", "unit512")):
            with self.subTest(volume=name):
                reader.run(f"export DM_DISABLE_UDEV=1; cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 "
                           f"--key-file /{name}.key --readonly {options} /dev/{device} {name}\n" +
                           guest.check_files(f"/dev/mapper/{name}", options="ro") + f"umount /mnt\ne2fsck -fn /dev/mapper/{name}")
        reader.power_off()


if __name__ == "__main__":
    tap.main()
