#!/usr/bin/python3
"""The chassis with children that are scripts: who is started with what, what is restarted and when, what is kept, how it ends."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap

CHILDREN = ("outboard-vault", "outboard-card", "outboard-control")
PATIENCE_S = 60  # for what must happen, on however slow a machine; nothing here is measured


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class ChassisTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-chassis-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = os.path.join(self.folder, "state")
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        shutil.copy(tap.build("outboard"), self.bin)
        for name in CHILDREN:
            shutil.copy(os.path.join(tap.ROOT, "test", "support", "fake_child.py"), os.path.join(self.bin, name))
            self.behave(name, "ready")
        self.started = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()

    def behave(self, name, *lines):
        with open(os.path.join(self.bin, f"{name}.do"), "w") as f:
            f.write("".join(line + "\n" for line in lines))

    def run_chassis(self, *arguments, config=None, cwd=None, state=None):
        command = [os.path.join(self.bin, "outboard"), "run", "--state-dir", state or self.state, *arguments]
        if config is not None:
            path = os.path.join(self.folder, "outboard.conf")
            with open(path, "w") as f:
                f.write(config)
            command += ["--config", path]
        self.errors = os.path.join(self.folder, f"stderr{len(self.started)}")
        with open(self.errors, "w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=cwd)
        self.started.append(process)
        return process

    def log(self):
        with open(self.errors) as f:
            return f.read()

    def run_ready(self, *arguments, **more):
        process = self.run_chassis(*arguments, **more)
        line = process.stdout.readline()
        self.assertRegex(line, r"^outboard: ready, api /.*\.sock\n$", self.log())
        return process

    def starts(self, name):
        try:
            with open(os.path.join(self.bin, f"{name}.log")) as f:
                return [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def wait_starts(self, name, count):
        wait_for(f"start {count} of {name}; log:\n{self.log()}", lambda: len(self.starts(name)) >= count)
        return self.starts(name)

    def stop(self, process, sig=signal.SIGTERM):
        process.send_signal(sig)
        status = process.wait(PATIENCE_S)
        rest = process.stdout.read()
        self.assertEqual(rest, "", "exactly one line on standard output")
        return status

    def pids(self):
        return [self.starts(name)[-1]["pid"] for name in CHILDREN]

    def assert_nothing_left(self):
        for name in CHILDREN:  # a start that was given up early may not have come to all of them
            for start in self.starts(name):
                self.assertFalse(alive(start["pid"]), f"{name}, pid {start['pid']}, outlives the chassis")
        self.assertEqual([f for f in os.listdir(self.state) if f != "vault.key"], [])


class Start(ChassisTest):
    def test_one_line_and_what_children_are_given(self):
        process = self.run_ready()
        vault, card, control = (self.starts(name)[0] for name in CHILDREN)
        self.assertEqual(vault["argv"], ["--root", "file"])
        self.assertEqual(vault["names"], ["card", "control", "root"])
        self.assertEqual(card["names"], ["control", "vault"])
        self.assertEqual(control["names"], ["card", "vault"])
        last = str(max(os.sched_getaffinity(0)))
        self.assertEqual(card["argv"], ["--state-dir", self.state, "--cores", last, "--huge-pages", "auto", "--buffer-bytes",
                                        str(64 << 20)])
        self.assertEqual(control["argv"], ["--state-dir", self.state, "--api", f"{self.state}/api.sock", "--api-mode", "0600"])
        for child in (vault, card, control):
            self.assertEqual(child["stdin"], "/dev/null")
            self.assertEqual(child["group"], child["pid"], "a process group of its own")
            self.assertEqual(child["open"], list(range(3 + len(child["names"]))), "no descriptor of ours leaks")
            self.assertEqual(int(child["blocked"][0].split()[1], 16), 0)
        self.assertEqual(self.stop(process), 0)
        self.assert_nothing_left()

    def test_wires_and_flows(self):
        """Of the file, or of the command line instead."""
        wires = [f"address=192.0.2.{i}/24;device=net_tap{i}" for i in range(1, 4)]
        config = f"[card]\nwire = {wires[0]}\nwire = {wires[1]}\nflows = 4096\n"
        ends = (["--wire", wires[0], "--wire", wires[1], "--flows", "4096"], ["--wire", wires[2], "--flows", "2048"])
        for arguments, end in (([], ends[0]), (["--wire", wires[2], "--flows", "2048"], ends[1])):
            process = self.run_ready(*arguments, config=config)
            self.assertEqual(self.starts("outboard-card")[-1]["argv"][-len(end):], end)
            self.assertEqual(self.stop(process), 0)
        for arguments, part in ((["--wire", "eth0"], "--wire must be a wire such as"), (["--flows", "5"], "--flows must be a number of flows"),
                                ([a for i in range(5) for a in ("--wire", "device=net_null")], "at most 4 times")):
            self.assertEqual(self.run_chassis(*arguments).wait(PATIENCE_S), 1)
            self.assertIn(part, self.log())

    def test_channels_connect_the_right_two(self):
        process = self.run_ready()

        def heard(name):
            try:
                with open(os.path.join(self.bin, f"{name}.heard")) as f:
                    return sorted(f.read().split("\n")[:-1])
            except FileNotFoundError:
                return []

        for name in CHILDREN:
            me = name.removeprefix("outboard-")
            expected = sorted(f"{other} to {me}" for other in CHILDREN if other != name)
            wait_for(f"what {name} hears", lambda n=name, e=expected: heard(n) == e)
        self.stop(process)

    def test_relative_and_slashed_directory(self):
        process = self.run_ready(state="here/", cwd=self.folder)
        self.assertEqual(self.starts("outboard-card")[0]["argv"][1], os.path.join(self.folder, "here"))
        self.stop(process)

    def test_directory_and_root_key(self):
        process = self.run_ready()
        self.assertEqual(os.stat(self.state).st_mode & 0o777, 0o700)
        key = os.path.join(self.state, "vault.key")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o400)
        with open(key, "rb") as f:
            content = f.read()
        self.assertEqual(len(content), 32)
        self.assertEqual(self.starts("outboard-vault")[0]["files"]["root"], content.hex())
        self.assertIn("keep it elsewhere", self.log())
        self.stop(process)
        process = self.run_ready()
        self.assertEqual(self.starts("outboard-vault")[1]["files"]["root"], content.hex(), "the same key for ever")
        self.assertNotIn("keep it elsewhere", self.log())
        self.stop(process)

    def test_configuration_reaches_the_children(self):
        key = os.path.join(self.folder, "root")
        with open(key, "wb") as f:
            f.write(b"r" * 32)
        os.chmod(key, 0o400)
        api = os.path.join(self.folder, "a.sock")
        process = self.run_ready(config=f"; comment\n[card]\ncores = 0\nhuge_pages = off\nbuffers = 16M\n[vault]\nroot = file:{key}\n"
                                        f"export = no\n[api]\nsocket = {api}\nmode = 0660\ngroup = kvm\n")
        self.assertEqual(self.starts("outboard-card")[0]["argv"][2:], ["--cores", "0", "--huge-pages", "off", "--buffer-bytes",
                                                                       str(16 << 20)])
        self.assertEqual(self.starts("outboard-vault")[0]["argv"], ["--root", "file", "--no-export"])
        self.assertEqual(self.starts("outboard-vault")[0]["files"]["root"], (b"r" * 32).hex())
        self.assertEqual(self.starts("outboard-control")[0]["argv"][2:], ["--api", api, "--api-mode", "0660", "--api-group", "kvm"])
        self.assertFalse(os.path.exists(os.path.join(self.state, "vault.key")))
        self.stop(process)

    def test_passphrase_root(self):
        secret = os.path.join(self.folder, "passphrase")
        with open(secret, "w") as f:
            f.write("correct horse")
        process = self.run_ready(config=f"[vault]\nroot = passphrase\npassphrase_file = {secret}\n")
        vault = self.starts("outboard-vault")[0]
        self.assertEqual(vault["argv"], ["--root", "passphrase"])
        self.assertEqual(vault["names"], ["card", "control", "passphrase", "root"])
        self.assertEqual(bytes.fromhex(vault["files"]["passphrase"]), b"correct horse")
        header = os.path.join(self.state, "vault.root")
        self.assertEqual(os.stat(header).st_mode & 0o777, 0o600)
        self.assertEqual(vault["files"]["root"], "", "no header yet")
        os.kill(vault["pid"], signal.SIGKILL)
        again = self.wait_starts("outboard-vault", 2)[1]
        self.assertEqual(bytes.fromhex(again["files"]["passphrase"]), b"correct horse", "from its start again")
        self.stop(process)


class Refusal(ChassisTest):
    def refused(self, *arguments, **more):
        process = self.run_chassis(*arguments, **more)
        self.assertEqual(process.wait(PATIENCE_S), 1)
        self.assertEqual(process.stdout.read(), "")
        return self.log()

    def test_bad_configuration_names_its_line(self):
        for text, said in (("[card]\ncoers = 1\n", '2: there is no key "coers" in section [card]'),
                           ("cores = 1\n", '1: there is no key "cores" in section []'),
                           ("[card]\n\ncores = x\n", '3: "cores" must be auto, or core numbers such as 1,3, not "x"'),
                           ("[card]\ncores = 1\ncores = 2\n", '3: "cores" is given twice'),
                           ("[card]\ncores = 1,\n", '2: "cores" must be'),
                           ("[card]\ncores = 1,0,1\n", '2: "cores" must be auto, or core numbers such as 1,3, each once'),
                           ("[card]\nhuge_pages = maybe\n", '2: "huge_pages" must be auto, on or off'),
                           ("[card]\nbuffers = 3\n", '2: "buffers" must be a size'),
                           ("[vault]\nroot = file:relative\n", '2: "root" must be'),
                           ("[vault]\nexport = perhaps\n", '2: "export" must be yes or no'),
                           ("[vault]\npassphrase_file = /x\n", 'has no meaning without "root = passphrase"'),
                           ("[api]\nmode = rw\n", '2: "mode" must be an octal mode'),
                           ("[api]\nsocket = x\n", '2: "socket" must be an absolute path'),
                           ("[api]\nnonsense\n", '2: neither a comment, a [section] nor "key = value"'),
                           ("[api]\nnonsense\ncoers=1\n", '2: neither a comment'),
                           ("[api]\nsocket = /" + "x" * 300 + "\n", "2: the line is too long")):
            with self.subTest(text=text[:40]):
                self.assertIn(said, self.refused(config=text))

    def test_missing_files(self):
        self.assertIn("cannot read the configuration file /nonexistent", self.refused("--config", "/nonexistent"))
        self.assertIn(f"cannot read the configuration file {self.bin}: Is a directory", self.refused("--config", self.bin))
        self.assertIn("cannot read the root key /nonexistent", self.refused(config="[vault]\nroot = file:/nonexistent\n"))
        self.assertIn("cannot read the passphrase file /nonexistent",
                      self.refused(config="[vault]\nroot = passphrase\npassphrase_file = /nonexistent\n"))
        self.assertEqual(os.listdir(self.state), [], "a refused start leaves nothing")

    def test_root_key_that_others_can_read(self):
        key = os.path.join(self.folder, "root")
        with open(key, "wb") as f:
            f.write(b"r" * 32)
        os.chmod(key, 0o644)
        self.assertIn(f"chmod 0400 {key}", self.refused(config=f"[vault]\nroot = file:{key}\n"))

    def test_state_directory_that_others_can_write(self):
        os.mkdir(self.state)
        os.chmod(self.state, 0o777)
        self.assertIn("make it 0700", self.refused())

    def test_state_directory_that_cannot_be(self):
        self.assertIn("cannot make the state directory", self.refused(state="/nonexistent/state"))
        self.assertIn("cannot open the state directory", self.refused(state=os.path.join(self.bin, "outboard")))

    def test_a_path_too_long_for_a_socket(self):
        self.assertIn("choose a shorter directory", self.refused(state=os.path.join(self.folder, "d" * 100)))

    def test_missing_child(self):
        os.unlink(os.path.join(self.bin, "outboard-card"))
        self.assertIn("it belongs beside the outboard command", self.refused())

    def test_second_start_says_who_holds_it(self):
        first = self.run_ready()
        said = self.refused()
        self.assertIn(f"{self.state} is in use by another outboard (pid {first.pid})", said)
        self.assertIsNone(first.poll())
        self.stop(first)
        self.stop(self.run_ready())


class Restart(ChassisTest):
    def test_each_child_that_is_killed_comes_back(self):
        process = self.run_ready()
        for name in CHILDREN:
            old = self.starts(name)[-1]
            os.kill(old["pid"], signal.SIGKILL)
            new = self.wait_starts(name, 2)[1]
            self.assertEqual((new["names"], new["argv"]), (old["names"], old["argv"]))
            self.assertIn(f"{name.removeprefix('outboard-')} (pid {old['pid']}) was killed by signal 9 (Killed)\n", self.log())
            self.assertIn(f"{name.removeprefix('outboard-')} is started again, pid {new['pid']}\n", self.log())
        self.assertEqual([len(self.starts(name)) for name in CHILDREN], [2, 2, 2], "nobody else was restarted")
        self.assertEqual(self.stop(process), 0)
        self.assert_nothing_left()

    def test_status_is_told_and_restarts_go_on(self):
        process = self.run_ready()
        self.behave("outboard-card", "exit 7")
        os.kill(self.starts("outboard-card")[-1]["pid"], signal.SIGTERM)
        self.wait_starts("outboard-card", 4)
        self.assertIn("ended with status 7\n", self.log())
        self.behave("outboard-card", "ready")
        count = len(self.starts("outboard-card"))
        self.wait_starts("outboard-card", count + 1)
        self.assertEqual(self.stop(process), 0)
        self.assert_nothing_left()

    def test_a_child_that_never_becomes_ready_ends_the_start(self):
        self.behave("outboard-vault", "exit 3")
        process = self.run_chassis()
        self.assertEqual(process.wait(PATIENCE_S), 1)
        self.assertEqual(process.stdout.read(), "")
        self.assertIn("vault has failed 5 times without being ready once", self.log())
        self.assertEqual(len(self.starts("outboard-vault")), 5)
        self.assert_nothing_left()

    def test_a_child_that_refuses_its_configuration_is_asked_once(self):
        self.behave("outboard-card", "exit 2")
        process = self.run_chassis()
        self.assertEqual(process.wait(PATIENCE_S), 1)
        self.assertEqual(process.stdout.read(), "")
        self.assertIn("card does not run as it was told to; mend what it says above", self.log())
        self.assertEqual(len(self.starts("outboard-card")), 1)
        self.assert_nothing_left()

    def test_a_child_that_cannot_be_executed(self):
        with open(os.path.join(self.bin, "outboard-control"), "w") as f:
            f.write("#!/nonexistent/interpreter\n")
        process = self.run_chassis()
        self.assertEqual(process.wait(PATIENCE_S), 1)
        self.assertIn("cannot start", self.log())
        self.assertIn("control has failed 5 times", self.log())


class Keep(ChassisTest):
    def test_descriptors_reach_the_successor_and_nobody_else(self):
        self.behave("outboard-card", "store volume-1 hello", "store volume-2 world", "store gone x", "remove gone", "ready")
        process = self.run_ready()
        self.behave("outboard-card", "ready")
        for generation in (2, 3):
            os.kill(self.starts("outboard-card")[-1]["pid"], signal.SIGKILL)
            card = self.wait_starts("outboard-card", generation)[-1]
            self.assertEqual(card["names"], ["control", "vault", "volume-1", "volume-2"])
        self.assertEqual(card["open"], list(range(3 + 4)))
        os.kill(self.starts("outboard-control")[-1]["pid"], signal.SIGKILL)
        self.assertEqual(self.wait_starts("outboard-control", 2)[-1]["names"], ["card", "vault"])
        self.assertEqual(self.stop(process), 0)

    def test_the_last_words_of_the_dying_count(self):
        self.behave("outboard-card", "ready")
        process = self.run_ready()
        self.behave("outboard-card", "store last words", "kill 9")
        os.kill(self.starts("outboard-card")[-1]["pid"], signal.SIGKILL)
        card = self.wait_starts("outboard-card", 3)[2]
        self.assertIn("last", card["names"])
        self.assertEqual(bytes.fromhex(card["files"]["last"]), b"words")
        self.stop(process)

    def test_strangers_and_garbage_are_ignored(self):
        self.behave("outboard-vault", "speak card", "garbage", "store a:b x", "ready")
        process = self.run_ready()
        self.assertIn("is not ours", self.log())
        self.assertIn("dropped a malformed message", self.log())
        self.assertIn('cannot keep descriptor "a:b" of vault', self.log())
        self.assertEqual(self.stop(process), 0)


class End(ChassisTest):
    def test_interrupt_and_hang_up(self):
        for sig in (signal.SIGINT, signal.SIGHUP):
            process = self.run_ready()
            self.assertEqual(self.stop(process, sig), 0)
            self.assert_nothing_left()

    def test_stop_while_starting(self):
        self.behave("outboard-card")
        process = self.run_chassis()
        self.wait_starts("outboard-card", 1)
        for name in CHILDREN:
            self.wait_starts(name, 1)
        self.assertEqual(self.stop(process), 0)
        self.assert_nothing_left()

    def test_the_deaf_are_killed(self):
        self.behave("outboard-control", "deaf", "ready")
        process = self.run_ready()
        self.assertEqual(self.stop(process), 0)
        self.assertIn("control does not stop in time, killed", self.log())
        self.assert_nothing_left()

    def test_kill_9_leaves_no_process_and_no_lock(self):
        process = self.run_ready()
        pids = self.pids()
        process.kill()
        process.wait()
        wait_for("the end of the children", lambda: not any(alive(pid) for pid in pids))
        again = self.run_ready()
        self.assertEqual(self.stop(again), 0)
        self.assert_nothing_left()

    def test_systemd_is_told(self):
        import socket
        path = os.path.join(self.folder, "systemd.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(path)
            systemd.settimeout(PATIENCE_S)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                process = self.run_ready()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            self.assertIn(b"READY=1", systemd.recv(4096).split(b"\n"))
            self.stop(process)
            self.assertIn(b"STOPPING=1", systemd.recv(4096).split(b"\n"))


if __name__ == "__main__":
    tap.main()
