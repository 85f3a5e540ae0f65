#!/usr/bin/python3
"""The demo and the scripts under it: what a guest's end becomes, what the search for a secret finds, and that nothing is left behind."""
import ctypes
import glob
import json
import mmap
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap

SCRIPTS = os.path.join(tap.ROOT, "scripts")
PATIENCE_S = 240  # for what must end, on however slow a machine; nothing here is measured
SYS_MEMFD_SECRET = 447  # asm-generic/unistd.h


def run(script, *words, **options):
    return subprocess.run([os.path.join(SCRIPTS, script), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE_S, **options)


class ScriptTest(unittest.TestCase):
    def setUp(self):
        # Everything that a script makes for itself lands here.
        self.temporary = tempfile.TemporaryDirectory(prefix="outboard-demo-test-")
        self.folder = self.temporary.name
        self.environment = dict(os.environ, TMPDIR=os.path.join(self.folder, "tmp"))
        os.mkdir(self.environment["TMPDIR"])

    def tearDown(self):
        self.temporary.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def assert_nothing_left(self):
        left = [name for name in os.listdir(self.environment["TMPDIR"]) if not name.endswith(".lock")]
        self.assertEqual(left, [])
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    self.assertNotIn(self.environment["TMPDIR"].encode(), file.read())
            except (FileNotFoundError, ProcessLookupError):
                pass

    def assert_no_namespace(self, demo):
        names = subprocess.run(["ip", "netns", "list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        self.assertEqual([name for name in names if name.startswith(f"demo-{demo.pid}-")], [])


class GuestRun(ScriptTest):
    def guest(self, text, *words):
        return run("guest-run", *words, self.write("script.sh", text), env=self.environment, text=True)

    def test_the_scripts_status_and_words_come_out(self):
        given = self.write("given", "given to the guest\n")
        done = self.guest("cat /given; uname -m; exit 3\n", "--file", given)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("given to the guest\nx86_64\n", done.stdout)
        self.assert_nothing_left()

    def test_a_guest_that_does_not_end(self):
        done = self.guest("while :; do sleep 1; done\n", "--timeout", "6")
        self.assertEqual(done.returncode, 124)
        self.assertIn("did not end within 6 s", done.stderr)
        self.assert_nothing_left()

    def test_a_guest_that_vanishes(self):
        done = self.guest("poweroff -f\n")
        self.assertEqual(done.returncode, 125)
        self.assertIn("without a word from the script", done.stderr)
        self.assert_nothing_left()

    def test_a_disk_that_nobody_serves(self):
        done = self.guest("exit 0\n", "--disk", os.path.join(self.folder, "nobody"), "--timeout", "6")
        self.assertIn(done.returncode, (124, 125))
        self.assert_nothing_left()

    def test_no_such_script(self):
        done = run("guest-run", os.path.join(self.folder, "none"), text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such file", done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "reads the memory of other processes")
class FindSecret(ScriptTest):
    def search(self, secret, *words):
        done = run("find-secret", *words, input=secret)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def hold(self, code, secret):
        """A process that reads the secret, runs `code` on it (as S), says when it is done, and lives on."""
        code = "import sys; S = sys.stdin.buffer.read()\n" + code + "\nprint(flush=True)\nimport time; time.sleep(1000)"
        holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.kill)
        holder.stdin.write(secret)
        holder.stdin.close()
        holder.stdout.readline()
        return holder.pid

    def holders(self, report):
        return {process["pid"] for process in report["processes"] if process["found"]} - {os.getpid()}

    def test_in_a_process(self):
        secret = secrets.token_bytes(64)
        holder = self.hold("", secret)
        self.assertIn(holder, self.holders(self.search(secret)))
        self.assertNotIn(holder, self.holders(self.search(secrets.token_bytes(64))))

    def test_a_piece_is_enough(self):
        secret = secrets.token_bytes(64)
        holder = self.hold("S = bytes(bytearray(S)) + bytes(100)", secret[32:])
        self.assertIn(holder, self.holders(self.search(secret, "--pieces", "2")))
        self.assertNotIn(holder, self.holders(self.search(secret)))

    def test_across_the_edge_of_a_chunk(self):
        secret, chunk = secrets.token_bytes(64), 16 << 20
        for at in (chunk - 63, chunk - 32, chunk - 1, chunk, 3 * chunk - 64):
            path = os.path.join(self.folder, "file")
            with open(path, "wb") as file:
                file.write(bytes(at) + secret + bytes(100))
            self.assertEqual(self.search(secret, path)["files"], [{"path": path, "found": 1}], at)

    def test_files_below_a_folder_and_behind_holes(self):
        secret = secrets.token_bytes(64)
        os.makedirs(os.path.join(self.folder, "a", "b"))
        path = os.path.join(self.folder, "a", "b", "sparse")
        with open(path, "wb") as file:
            file.seek(1 << 30)
            file.write(secret)
        report = self.search(secret, os.path.join(self.folder, "a"))
        self.assertEqual(report["files"], [{"path": path, "found": 1}])
        self.assertLess(report["searched"]["file_bytes"], 1 << 20)

    def test_secret_memory_is_told_apart(self):
        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.syscall(SYS_MEMFD_SECRET, 0)
        if fd < 0:
            self.skipTest("this kernel has no memfd_secret")
        os.close(fd)
        holder = self.hold(f"import ctypes, mmap, os\nfd = ctypes.CDLL(None).syscall({SYS_MEMFD_SECRET}, 0)\nos.ftruncate(fd, {mmap.PAGESIZE})\n"
                           f"m = mmap.mmap(fd, {mmap.PAGESIZE})\nm.write(b'x')", secrets.token_bytes(64))
        report = self.search(secrets.token_bytes(64))
        self.assertEqual([p["unreadable_bytes"] for p in report["processes"] if p["pid"] == holder], [mmap.PAGESIZE])

    def test_a_secret_that_is_none(self):
        for secret, words in ((b"", ()), (b"short", ()), (bytes(63), ("--pieces", "2")), (bytes(64), ("--pieces", "0"))):
            done = run("find-secret", *words, input=secret)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"N equal pieces", done.stderr)


@unittest.skipUnless(os.geteuid() == 0, "starts a card")
class Demo(ScriptTest):
    def start(self, *words):
        demo = subprocess.Popen([os.path.join(SCRIPTS, "demo"), "--build", tap.BUILD, "--seconds", "1", *words], env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.kill)
        return demo

    def succeed(self, *words):
        demo = self.start(*words)
        output = demo.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(demo.returncode, 0, output)
        self.assert_nothing_left()
        self.assert_no_namespace(demo)
        return output

    def test_disks(self):
        output = self.succeed("--only", "disk")
        for words in ("all checksums right after a reboot", "0 times; decrypted by python3-cryptography", "encrypted, 4 KiB random reads"):
            self.assertIn(words, output)

    def test_networks(self):
        output = self.succeed("--only", "vpc")
        for words in ("web, by DHCP: 10.0.1.10/24, MTU 1450", "app, by DHCP: 10.0.1.20/24, MTU 1450", "Dropped (security_group_out)",
                      "app's next connection: passes"):
            self.assertIn(words, output)
        for pattern in (r"ping from app to web: [0-9.]+ ms on average", r"16 MiB over TCP at [0-9,]+ Mbit/s.*, checksum right",
                        r"app's next connection: fails \(nc: .*timed out\)", r"dropped at app: .*\b[1-9][0-9]* security_group_out",
                        r"read by tcpdump: [0-9]+ packets; [1-9][0-9]* of [0-9]+ connections not answered",
                        r"iperf3 between namespaces, by taps: [0-9.]+ Gbit/s",
                        r"64-byte UDP, 1,024 flows: [1-9][0-9,]* packets/s", r"TCP frames of 64 KiB, not segmented: [1-9][0-9,]* packets/s"):
            self.assertRegex(output, pattern)

    def interrupt(self, send, words, *options):
        demo = self.start(*options)
        output = ""
        for line in demo.stdout:
            output += line
            if words in line:
                break
        self.assertIn(words, output)
        send(demo.pid, signal.SIGINT if send is os.killpg else signal.SIGTERM)
        output += demo.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(demo.returncode, 130, output)
        self.assertIn("interrupted", output)
        time.sleep(0.2)  # what the kernel kills with its parent is gone a moment later
        self.assert_nothing_left()
        self.assert_no_namespace(demo)

    def test_interrupted(self):
        """Ctrl-C goes to all of the terminal's processes, SIGTERM to the demo alone; at any step."""
        for send, words in ((os.killpg, "starting vault"), (os.kill, "booting a guest"), (os.killpg, "up after"), (os.kill, "searching memory")):
            with self.subTest(words):
                self.interrupt(send, words, "--only", "disk")

    def test_interrupted_between_two_cards(self):
        for send, words in ((os.kill, "starting two cards"), (os.killpg, "right: 12 objects"), (os.killpg, "app up after"),
                            (os.kill, "closing:"), (os.killpg, "opening:"), (os.killpg, "iperf3 between two"), (os.kill, "measuring NICs")):
            with self.subTest(words):
                self.interrupt(send, words, "--only", "vpc")

    def test_a_card_that_does_not_start(self):
        os.mkdir(os.path.join(self.folder, "build"))
        self.write("build/outboard", "#!/bin/sh\necho 'no cores left' >&2\nexit 1\n")
        os.chmod(os.path.join(self.folder, "build", "outboard"), 0o755)
        for part in ("disk", "vpc"):
            with self.subTest(part):
                demo = self.start("--build", os.path.join(self.folder, "build"), "--only", part)
                output = demo.communicate(timeout=PATIENCE_S)[0]
                self.assertEqual(demo.returncode, 1)
                self.assertIn("the card does not start:\nno cores left", output)
                self.assert_nothing_left()
                self.assert_no_namespace(demo)

    def test_a_failure_while_guests_run(self):
        os.mkdir(os.path.join(self.folder, "bin"))
        os.chmod(self.write("bin/tcpdump", "#!/bin/sh\necho 'no such link type' >&2\nexit 1\n"), 0o755)
        self.environment["PATH"] = os.path.join(self.folder, "bin") + ":" + os.environ["PATH"]
        demo = self.start("--only", "vpc")
        output = demo.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(demo.returncode, 1, output)
        self.assertIn("no such link type", output)
        self.assert_nothing_left()
        self.assert_no_namespace(demo)

    def test_not_root(self):
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", os.path.join(SCRIPTS, "demo")], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("must be root", done.stdout)


class Deps(ScriptTest):
    def test_lists_and_knows_what_is_there(self):
        listed = run("deps", "--list", text=True).stdout.split()
        self.assertIn("qemu-system-x86", listed)
        self.assertEqual(len(listed), len(set(listed)))
        done = run("deps", text=True)  # the tests run where they are installed
        self.assertEqual((done.returncode, done.stdout), (0, f"deps: all {len(listed)} packages are installed\n"))

    def test_less_and_more(self):
        demo, tests, bench = (set(run("deps", *words, "--list", text=True).stdout.split()) for words in (["--demo"], [], ["--bench"]))
        self.assertLess(demo, tests)
        self.assertLess(tests, bench)
        self.assertIn("qemu-system-x86", demo)
        self.assertIn("openvswitch-switch-dpdk", bench - tests)

    def test_usage(self):
        for word in ("--everything", "demo"):
            self.assertEqual(run("deps", word).returncode, 2)


if __name__ == "__main__":
    tap.main()
