#!/usr/bin/python3
"""Disk images into volumes and out again, and other people's tools on a volume's NBD export."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import outboard
import tap

MIB = 1 << 20


class Images(outboard.WithCard):
    """Tools of the host, which know nothing of us, on a volume's NBD export."""
    size = 24 * MIB

    def setUp(self):
        self.card.volume("d", "--encrypted", size="24M")
        self.uri = None

    def tearDown(self):
        if self.uri is not None:
            self.card.call("volume", "detach", "d")
        self.card.call("volume", "delete", "d")

    def serve(self):
        self.uri = self.card.call("volume", "nbd", "d")["uri"]
        return self.uri

    @staticmethod
    def tool(*line):
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=outboard.PATIENCE_S)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(line)}: status {done.returncode}: {done.stdout}")
        return done.stdout

    def test_import_and_export(self):
        """raw and qcow2, in and out: qemu-img finds no difference."""
        raw = self.random_file("raw", self.size)
        qcow2, out = os.path.join(self.folder, "in.qcow2"), os.path.join(self.folder, "out")
        self.tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, qcow2)
        for source in (raw, qcow2):
            for wanted in ("raw", "qcow2"):
                with self.subTest(source=os.path.basename(source), wanted=wanted):
                    self.card.call("volume", "import", "d", source)
                    self.card.call("volume", "export", "d", out, "--format", wanted)
                    self.tool("qemu-img", "compare", "-f", "raw", "-F", wanted, raw, out)
                    os.unlink(out)

    def test_nbdinfo(self):
        said = json.loads(self.tool("nbdinfo", "--json", self.serve()))["exports"][0]
        self.assertEqual(said["export-size"], self.size)
        self.assertEqual({name: said[name] for name in ("is_read_only", "can_flush", "can_trim", "can_zero")},
                         {"is_read_only": False, "can_flush": True, "can_trim": True, "can_zero": True})
        self.assertEqual(said["block_size_minimum"], 4096)

    def test_nbdcopy(self):
        raw, out = self.random_file("copied", self.size), os.path.join(self.folder, "back")
        self.tool("nbdcopy", raw, self.serve())
        self.tool("nbdcopy", self.uri, out)
        self.tool("cmp", raw, out)

    def test_qemu_io(self):
        """Patterns at places that are no blocks, zeroes, discards: what qemu's block tests do to their images."""
        self.tool("qemu-io", "-f", "raw", *(word for command in (
            "write -P 0xa5 0 1M", "write -P 0x5a 1M 3M", "write -P 0x11 4097 512", "write -P 0x22 1048064 1k", "flush",
            "read -P 0xa5 0 4097", "read -P 0x11 4097 512", "read -P 0xa5 4609 1043455", "read -P 0x22 1048064 1k",
            "read -P 0x5a 1049088 3145216", "write -z 2M 1M", "read -P 0 2M 1M", "read -P 0x5a 3M 1M", "write -z -u 3M 64k",
            "read -P 0 3M 64k", "aio_write -P 0x33 5M 2M", "aio_write -P 0x44 7M 2M", "aio_flush", "read -P 0x33 5M 2M",
            "read -P 0x44 7M 2M", "discard 5M 1M", "read -P 0x33 6M 1M", "read -P 0x44 7M 2M",
            "writev -P 0x55 10M 512 1024 4096 8192",
            "readv -P 0x55 10M 8192 512 5120")
            for word in ("-c", command)), self.serve())
        with self.assertRaisesRegex(AssertionError, "Pattern verification failed"):
            self.tool("qemu-io", "-f", "raw", "-c", "read -P 0x45 7M 2M", self.uri)

    def test_qemu_img_bench(self):
        self.serve()
        for words in (["-w", "--pattern", "119", "--flush-interval", "64"], []):
            said = self.tool("qemu-img", "bench", "-f", "raw", "-c", "1024", "-d", "16", "-s", "4096", *words, self.uri)
            self.assertIn("Run completed", said)
        self.tool("qemu-io", "-f", "raw", "-c", "read -P 119 0 4M", self.uri)

    def test_fio(self):
        """Random writes, then every block is read and its checksum compared."""
        self.tool("fio", "--name=verify", "--ioengine=nbd", f"--uri={self.serve()}", "--rw=randwrite", "--bsrange=4k-64k",
                  "--iodepth=16", f"--size={self.size}", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                  "--randseed=7", "--fsync=50", "--output-format=terse")


if __name__ == "__main__":
    tap.main()
