#!/usr/bin/python3
"""The outboard command against an API that is a script: what it asks, what it prints, how it fails."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fake_api
import sealing
import tap
from cli_case import PATIENCE_S, CliTest

class Usage(CliTest):
    def test_errors_name_what_is_wrong(self):
        for arguments, said in ((["fly"], 'there is no command "fly"'),
                                (["volume", "fly"], 'there is no command "volume fly"'),
                                (["volume", "create"], "NAME is missing"),
                                (["volume", "create", "x"], "--size is missing"),
                                (["volume", "create", "x", "y", "--size", "1G"], '"y" is one argument too many'),
                                (["volume", "create", "x", "--size"], "--size needs a value"),
                                (["volume", "create", "x", "--size", "1X"], '--size must be a size such as 512M, 10G or 1T, not "1X"'),
                                (["volume", "create", "x", "--size", "-1"], "--size must be a size"),
                                (["volume", "create", "x", "--size", "16E"], '--size must be less than 8E, not "16E"'),
                                (["--api", "", "volume", "list"], "--api is empty"),
                                (["volume", "create", "x", "--size", "1G", "--size", "2G"], "--size is given twice"),
                                (["volume", "create", "x", "--size", "1G", "--iops", "many"], '--iops must be a number, not "many"'),
                                (["volume", "create", "x", "--size", "1G", "--backend", "tape"],
                                 '--backend must be one of file|memory|null, not "tape"'),
                                (["volume", "create", "x", "--size", "1G", "--backend", ""], "--backend must be one of"),
                                (["volume", "create", "x", "--size", "1G", "--colour"], "there is no option --colour"),
                                (["volume", "create", "x", "--size", "1G", "-z"], "there is no option -z"),
                                (["volume", "create", "x", "--size", "1G", "--encrypted=yes"], "takes no value"),
                                (["volume", "create", "x", "--size", "1G", "--kek", "k"], "--kek has no meaning without --encrypted"),
                                (["volume", "create", "x", "--size", "1G", "--tags", "a"], "--tags must be KEY=VALUE"),
                                (["volume", "create", "../keys", "--size", "1G"], "NAME must be up to 63 letters"),
                                (["volume", "show", "a/b"], "NAME must be"),
                                (["volume", "show", "-"], "NAME must be"),
                                (["volume", "limit", "x"], "which limit"),
                                (["volume", "import", "x", "i", "--encrypted"], "no meaning without --create"),
                                (["volume", "attach", "x", "--user", "nobody-at-all"], 'there is no user "nobody-at-all"'),
                                (["volume", "attach", "x", "--group", "nobody-at-all"], 'there is no group "nobody-at-all"'),
                                (["volume", "attach", "x", "--socket", ""], "--socket is empty"),
                                (["top", "--interval", "0"], "--interval must be 1 to 3600"),
                                (["key", "export", "x"], "--out is missing"),
                                (["run"], "--state-dir is missing"),
                                (["--colour"], "there is no option --colour")):
            with self.subTest(arguments=arguments):
                done = self.outboard(*arguments, status=2)
                self.assertIn(said, done.stderr)
                self.assertIn("--help\" explains", done.stderr)
                self.assertEqual(done.stdout, "")
                error = self.json(*arguments, status=2)["error"]
                self.assertEqual(error["code"], "usage")
                self.assertIn(said, error["message"])
        self.assertEqual(self.api.requests, [], "nothing was asked")

    def test_nothing_to_do_shows_help(self):
        self.assertIn("Usage: outboard", self.outboard(status=2).stdout)
        self.assertIn("volume create", self.outboard("volume", status=2).stdout)
        self.assertEqual(self.json(status=2)["error"]["code"], "usage")
        self.assertEqual(self.json("volume", status=2)["error"]["code"], "usage")

    def test_help_teaches(self):
        everything = self.outboard("--help").stdout
        for word in ("volume", "key", "top", "run", "--api", "--json", "outboard volume create disk1 --size 10G"):
            self.assertIn(word, everything)
        self.assertIn("volume attach", self.outboard("volume", "--help").stdout)
        create = self.outboard("volume", "create", "--help").stdout
        for word in ("Usage: outboard volume create NAME --size SIZE [options]", "--encrypted", "Examples:", "--api SOCKET"):
            self.assertIn(word, create)
        self.assertEqual(self.outboard("volume", "create", "-h").stdout, create)
        self.assertIn("outboard", self.outboard("--version").stdout)
        self.assertEqual(list(self.json("--version")), ["version"])

    def test_options_go_anywhere(self):
        for arguments in (["--json", "volume", "list"], ["volume", "list", "--json"],
                          ["--api", self.socket, "volume", "list", "--json"], ["volume", "list", "--json", f"--api={self.socket}"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(json.loads(self.outboard(*arguments).stdout), {"volumes": []})


class Unreachable(CliTest):
    def unreachable(self, path):
        text = self.outboard("--api", path, "status", status=1).stderr
        error = self.json("--api", path, "status", status=1)["error"]
        self.assertEqual(error["code"], "unreachable")
        self.assertIn(path, text)
        self.assertIn(path, error["message"])
        return text

    def test_no_socket(self):
        text = self.unreachable("/nonexistent/api.sock")
        self.assertIn("outboard run --state-dir DIR", text)
        self.assertIn("OUTBOARD_API", text)

    def test_default_socket(self):
        environment = {k: v for k, v in os.environ.items() if k != "OUTBOARD_API"}
        if not os.path.exists("/run/outboard/api.sock"):
            self.assertIn("/run/outboard/api.sock", self.outboard("status", status=1, env=environment).stderr)

    def test_nobody_listens(self):
        path = os.path.join(self.folder, "dead.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        self.assertIn("no card listens on", self.unreachable(path))

    @unittest.skipIf(shutil.which("setpriv") is None or os.geteuid() != 0, "needs root and setpriv to become somebody else")
    def test_not_allowed(self):
        os.chmod(self.folder, 0o755)
        os.chmod(self.socket, 0o600)
        for folder in (self.folder, os.path.dirname(tap.build("outboard"))):
            if not os.stat(folder).st_mode & 0o001:
                self.skipTest(f"{folder} is not open to others")
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", tap.build("outboard"), "--api", self.socket,
                               "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("you may not open the card's API", done.stderr)

    def test_garbage(self):
        for answer, said in (((200, b"<html>"), "no JSON"), ((500, b"oops"), "HTTP status 500"), ((404, {"error": 3}), "HTTP status 404"),
                             ((302, {"a": 1}), "HTTP status 302")):
            with self.subTest(answer=answer):
                self.api.answer("GET", "/healthz", *answer)
                self.assertIn(said, self.outboard("status", status=1).stderr)
                self.assertEqual(self.json("status", status=1)["error"]["code"], "protocol")


class Volume(CliTest):
    def test_create_says_what_it_was_told(self):
        volume = self.json("volume", "create", "disk1", "--size", "10G", "--backend", "file", "--path", "disk1.img", "--encrypted",
                           "--kek", "tenant", "--iops", "3000", "--throughput", "125", "--block-size", "512", "--burst", "--tags",
                           "owner=me,use=")
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/volumes", {
            "name": "disk1", "size_bytes": 10 << 30, "backend": "file", "path": os.path.join(self.folder, "disk1.img"),
            "encrypted": True, "kek": "tenant", "iops": 3000, "throughput_mib": 125, "block_size_bytes": 512, "burst": True,
            "read_only": False, "tags": {"owner": "me", "use": ""}}))
        self.assertEqual(volume["name"], "disk1")

    def test_create_leaves_the_rest_to_the_api(self):
        self.outboard("volume", "create", "d", "-s", "4096", "--backend", "memory")
        self.assertEqual(self.api.last("POST")[2], {"name": "d", "size_bytes": 4096, "backend": "memory", "encrypted": False,
                                                    "read_only": False, "burst": False, "block_size_bytes": 4096})

    def test_show_and_list(self):
        self.api.volumes = {"a": {**fake_api.VOLUME, "name": "a", "encrypted": True, "kek": "default", "iops": 100},
                            "b": {**fake_api.VOLUME, "name": "b", "size_bytes": 1536 << 20, "tags": {"k": "v\x1b[31m"},
                                  "health": {"state": "degraded", "errors": 1, "message": "no space"}}}
        self.api.attachments["c"] = {"kind": "vhost-user-blk", "socket": "/s", "state": "pending", "queues": 16, "reason": "The vault is locked."}
        self.api.volumes["c"] = {**fake_api.VOLUME, "name": "c", "state": "attached", "attachment": self.api.attachments["c"]}
        self.assertEqual(self.outboard("volume", "list").stdout.splitlines()[3].split()[-2:], ["pending", "/s"])
        shown = self.outboard("volume", "show", "c").stdout
        self.assertRegex(shown, r"(?m)^attached +vhost-user-blk, /s, 16 queues, pending\nreason +The vault is locked\.$")
        self.api.attachments["c"].update(state="waiting", queues=1, reason=None)
        shown = self.outboard("volume", "show", "c").stdout
        self.assertRegex(shown, r"(?m)^attached +vhost-user-blk, /s, 1 queue, waiting$")
        self.assertNotIn("reason", shown)
        del self.api.attachments["c"], self.api.volumes["c"]
        lines = self.outboard("volume", "list").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "SIZE", "BACKEND", "ENCRYPTED", "STATE", "ATTACHED"])
        self.assertEqual(lines[1].split(), ["a", "10", "GiB", "file", "default", "available", "-"])
        self.assertEqual(lines[2].split(), ["b", "1.5", "GiB", "file", "-", "degraded", "-"])
        self.assertEqual(len({line.index("file") for line in lines[1:]}), 1, "columns are aligned")
        self.assertEqual([v["name"] for v in self.json("volume", "list")["volumes"]], ["a", "b"])
        shown = self.outboard("volume", "show", "b").stdout
        self.assertIn("1.5 GiB (1610612736 bytes)", shown)
        self.assertIn("k=v?[31m", shown, "a tag does not play with the terminal")
        self.assertIn("degraded: no space", shown)
        self.assertEqual(self.json("volume", "show", "a")["iops"], 100)

    def test_empty_list_says_how_to_begin(self):
        self.assertIn("volume create", self.outboard("volume", "list").stdout)
        self.assertEqual(self.json("volume", "list"), {"volumes": []})

    def test_resize_limit_rewrap_delete(self):
        self.api.volumes["d"] = {**fake_api.VOLUME, "name": "d"}
        self.assertEqual(self.json("volume", "resize", "d", "--size", "20G")["size_bytes"], 20 << 30)
        self.assertEqual(self.api.last("PATCH"), ("PATCH", "/v1/volumes/d", {"size_bytes": 20 << 30}))
        self.json("volume", "limit", "d", "--iops", "0", "--throughput", "5")
        self.assertEqual(self.api.last("PATCH")[2], {"iops": None, "throughput_mib": 5})
        self.json("volume", "rewrap", "d", "--kek", "other")
        self.assertEqual(self.api.last("POST"), ("POST", "/v1/volumes/d/rewrap", {"kek": "other"}))
        self.api.answer("PATCH", "/v1/volumes/d", *fake_api.error(400, "invalid_field", 'Field "size_bytes" must be at least 5.'))
        self.assertEqual(self.outboard("volume", "resize", "d", "--size", "1", status=1).stderr,
                         "outboard: --size, in bytes, must be at least 5.\n", "what was typed is named, not the API's field")
        self.assertEqual(self.json("volume", "delete", "d"), {"deleted": "d"})
        error = self.json("volume", "delete", "d", status=1)["error"]
        self.assertEqual(error, {"code": "volume_not_found", "message": 'there is no volume "d"'})
        self.assertEqual(self.outboard("volume", "delete", "d", status=1).stderr, 'outboard: there is no volume "d"\n')


class Attach(CliTest):
    def test_attach_prints_lines_to_paste(self):
        text = self.outboard("volume", "attach", "7up", "--queues", "4", "--socket", "it's, a.sock").stdout
        path = os.path.join(self.folder, "it's, a.sock")
        self.assertEqual(self.api.last("POST")[2], {"volume": "7up", "kind": "vhost-user-blk", "queues": 4, "packed": True,
                                                    "read_only": False, "socket": path})
        self.assertEqual(text.splitlines()[0], path)
        doubled = path.replace(",", ",,").replace("'", "'\\''")
        for line in ("-object memory-backend-memfd,id=mem,size=4G,share=on", "-machine q35,memory-backend=mem",
                     f"-chardev 'socket,id=disk-7up,path={doubled},reconnect=1'",
                     "-device vhost-user-blk-pci,chardev=disk-7up,num-queues=4,packed=on", "--memory size=4G,shared=on",
                     "vhost_user=true,socket="):
            self.assertIn(line, text)
        drive = json.loads(re.search(r'"drives": (\[.*\])', text)[1])
        self.assertEqual(drive, [{"drive_id": "7up", "is_root_device": False, "socket": path}])

    def test_attach_json(self):
        reply = self.json("volume", "attach", "d.1", "--no-packed", "--read-only", "--user", "root", "--group", "5", "--mode", "0600")
        self.assertEqual(self.api.last("POST")[2], {"volume": "d.1", "kind": "vhost-user-blk", "queues": 16, "packed": False,
                                                    "read_only": True, "uid": 0, "gid": 5, "mode": "0600"})
        self.assertEqual(reply["socket"], "/run/sockets/d.1.sock")
        self.assertIn("vhost-user-blk-pci,chardev=disk-d.1,num-queues=4", reply["qemu"])
        self.assertEqual(reply["firecracker"]["drive_id"], "d_1")

    @unittest.skipIf(shutil.which("qemu-system-x86_64") is None, "needs QEMU")
    def test_qemu_understands_its_line(self):
        """It gets as far as connecting to the socket, where nobody answers."""
        path = os.path.join(self.folder, "d.sock")
        line = self.json("volume", "attach", "d", "--socket", path)["qemu"]
        line = [word.replace("4G", "64M").replace(",reconnect=1", "") for word in line]
        done = subprocess.run(["qemu-system-x86_64", "-display", "none", *line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=PATIENCE_S)
        self.assertIn(f"Failed to connect to '{path}'", done.stdout)

    def test_detach(self):
        self.json("volume", "attach", "d")
        self.assertEqual(self.json("volume", "detach", "d"), {"detached": "d"})
        self.assertEqual(self.api.attachments, {})
        self.assertEqual(self.json("volume", "detach", "d", status=1)["error"]["code"], "attachment_not_found")

    def test_nbd_prints_a_uri(self):
        done = self.outboard("volume", "nbd", "d", "--socket", "/tmp/a b&c.sock", "--read-only")
        self.assertEqual(done.stdout, "nbd+unix:///?socket=/tmp/a%20b%26c.sock\n")
        self.assertEqual(self.api.last("POST")[2], {"volume": "d", "kind": "nbd", "read_only": True, "socket": "/tmp/a b&c.sock"})
        self.assertEqual(self.json("volume", "nbd", "d")["uri"], "nbd+unix:///?socket=/run/sockets/d.sock")


class Key(CliTest):
    def test_list_create_rotate_delete(self):
        key = {"name": "k", "id": "x", "version": 1, "created_at": "2024-01-01T00:00:00Z", "volumes": 3}
        self.api.answer("GET", "/v1/keys", 200, [key])
        self.api.answer("POST", "/v1/keys", 201, key)
        self.api.answer("POST", "/v1/keys/k/rotate", 200, {"name": "k", "version": 2, "rewrapped": 3})
        self.api.answer("DELETE", "/v1/keys/k", 204, None)
        self.assertEqual(self.json("key", "list"), {"keys": [key]})
        self.assertEqual(self.outboard("key", "list").stdout.splitlines()[1].split(), ["k", "1", "3", "2024-01-01T00:00:00Z"])
        self.assertEqual(self.json("key", "create", "k"), key)
        self.assertEqual(self.api.last("POST")[2], {"name": "k"})
        self.assertEqual(self.json("key", "rotate", "k")["rewrapped"], 3)
        self.assertIn("version 2", self.outboard("key", "rotate", "k").stdout)
        self.assertEqual(self.json("key", "delete", "k"), {"deleted": "k"})

    def export_reply(self, plain):
        """What the vault would answer, sealed by another implementation to the key that the command sent."""
        self.api.answer("POST", "/v1/volumes/d/export-key", 200, lambda body: {
            "sealed": sealing.seal(bytes.fromhex(body["recipient"]), plain).hex(), "algorithm": "aes-256-xts", "block_size_bytes": 4096})

    def test_export(self):
        key, path = os.urandom(64), os.path.join(self.folder, "key")
        self.export_reply(key)
        done = self.outboard("key", "export", "d", "--out", path)
        self.assertIn("--sector-size 4096 --iv-large-sectors", done.stdout)
        self.assertNotIn(key.hex(), done.stdout + done.stderr)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), key)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        result = self.json("key", "export", "d", "--out", path + ".hex", "--hex")
        self.assertEqual(result, {"volume": "d", "file": path + ".hex", "algorithm": "aes-256-xts", "block_size_bytes": 4096})
        with open(path + ".hex") as f:
            self.assertEqual(f.read(), key.hex() + "\n")
        recipients = [r[2]["recipient"] for r in self.api.requests]
        self.assertEqual(len(set(recipients)), 2, "a key pair is used once")

    def test_export_does_not_overwrite(self):
        path = os.path.join(self.folder, "key")
        self.export_reply(os.urandom(64))
        self.json("key", "export", "d", "--out", path)
        os.symlink(path, path + ".link")
        for target in (path, path + ".link", "/nonexistent/key"):
            self.assertEqual(self.json("key", "export", "d", "--out", target, status=1)["error"]["code"], "file")

    def test_export_of_a_wrong_size(self):
        for size in (0, 63, 65, 128):
            self.export_reply(os.urandom(size))
            self.assertEqual(self.json("key", "export", "d", "--out", "key", status=1)["error"]["code"], "protocol")

    def test_export_refuses_what_is_not_sealed_to_it(self):
        path = os.path.join(self.folder, "key")
        for sealed in ("", "zz", "00", "00" * 200, "00" * 600):
            with self.subTest(sealed=sealed[:4]):
                self.api.answer("POST", "/v1/volumes/d/export-key", 200, {"sealed": sealed, "algorithm": "aes-256-xts", "block_size_bytes": 512})
                self.assertEqual(self.json("key", "export", "d", "--out", path, status=1)["error"]["code"], "protocol")
                self.assertFalse(os.path.exists(path))
        self.assertRegex(self.api.last("POST")[2]["recipient"], "^[0-9a-f]{64}$")

    def test_export_forbidden(self):
        self.api.answer("POST", "/v1/volumes/d/export-key", *fake_api.error(403, "export_forbidden", "the vault does not export keys"))
        self.assertEqual(self.json("key", "export", "d", "--out", "k", status=1)["error"]["code"], "export_forbidden")

    def unlock_reply(self):
        self.vault = sealing.Recipient()
        self.api.answer("GET", "/v1/vault", 200, {"state": "locked", "root": "passphrase", "public_key": self.vault.public.hex()})
        self.api.answer("POST", "/v1/vault/unlock", 200, {"state": "unlocked"})

    def assert_sealed(self, passphrase):
        """The vault can open what the API was given, and what it was given does not show the passphrase."""
        sealed = self.api.last("POST")[2]["sealed"]
        self.assertEqual(self.vault.open(bytes.fromhex(sealed)), passphrase.encode())
        self.assertNotIn(passphrase.encode().hex(), sealed)

    def test_unlock_from_file_and_pipe(self):
        self.unlock_reply()
        path = os.path.join(self.folder, "passphrase")
        with open(path, "w") as f:
            f.write("correct horse\n")
        self.assertEqual(self.json("key", "unlock", "--passphrase-file", path), {"state": "unlocked"})
        self.assert_sealed("correct horse")
        with open(path) as f:
            self.assertEqual(self.outboard("key", "unlock", "--passphrase-file", "-", stdin=f).stdout, "the vault is unlocked\n")
        with open(path) as f:
            self.json("key", "unlock", stdin=f)
        self.assert_sealed("correct horse")

    def test_unlock_refusals(self):
        self.unlock_reply()
        path = os.path.join(self.folder, "passphrase")
        for content, said in (("", "no passphrase was given"), ("\n", "no passphrase was given"), ("x" * 300, "at most 256 bytes")):
            with open(path, "w") as f:
                f.write(content)
            self.assertIn(said, self.outboard("key", "unlock", "-f", path, status=1).stderr)
        self.assertIn("cannot read the passphrase from /nonexistent", self.outboard("key", "unlock", "-f", "/nonexistent", status=1).stderr)
        with open(path, "w") as f:
            f.write("x")
        self.api.answer("GET", "/v1/vault", 200, {"state": "down", "root": None, "public_key": None})
        self.assertIn("the vault is down", self.outboard("key", "unlock", "-f", path, status=1).stderr)

    def ask(self, typed):
        """Runs unlock on a terminal of its own; returns (exit status, what the terminal showed)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(tap.build("outboard"), ["outboard", "key", "unlock"], self.environment)
        shown = b""
        while b"Passphrase: " not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, typed)
        try:
            while True:
                data = os.read(terminal, 1024)
                if not data:
                    break
                shown += data
        except OSError:
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_unlock_asks_without_echo(self):
        self.unlock_reply()
        status, shown = self.ask(b"correct horse\n")
        self.assertEqual(status, 0, shown)
        self.assertNotIn("horse", shown)
        self.assertIn("the vault is unlocked", shown)
        self.assert_sealed("correct horse")

    def test_interrupted_question_unlocks_nothing(self):
        self.unlock_reply()
        status, shown = self.ask(b"half a pass\x03")
        self.assertEqual(status, 1, shown)
        self.assertIn("no passphrase was given", shown)
        self.assertEqual(self.api.requests, [])


class Status(CliTest):
    def test_status_advises(self):
        self.api.answer("GET", "/healthz", 200, {"status": "degraded", "card": "down", "vault": "locked", "version": "1"})
        text = self.outboard("status").stdout
        self.assertIn("outboard key unlock", text)
        self.assertIn("The card is down", text)
        self.assertEqual(self.json("status")["vault"], "locked")

    def test_card_show(self):
        card = {"name": "local", "state": "up", "incarnation": "x", "version": "1", "restarts": 2, "pollers": [1, 3],
                "xts_kernel": "vaes-avx512", "secret_memory": "memfd_secret", "huge_pages": False, "attachments": 7}
        self.api.answer("GET", "/v1/cards/local", 200, card)
        self.assertEqual(self.json("card", "show"), card)
        text = self.outboard("card", "show").stdout
        self.assertIn("2, on core 1, 3", text)
        self.assertIn("vaes-avx512", text)


def stage(name, departures, wait_ns, histogram, occupancy_ns=None):
    return {"name": name, "arrivals": departures, "departures": departures, "bytes": departures * 4096,
            "occupancy_ns": wait_ns if occupancy_ns is None else occupancy_ns, "wait_ns": wait_ns, "wait_ns_max": 5000,
            "wait_histogram_ns": histogram}


class Top(CliTest):
    def snapshots(self):
        """Two seconds apart: 2,000 requests of 1 us, 20 of them 4 us; half busy."""
        def device(count, wait_ns, histogram):
            return {"volume": "disk1", "volume_id": "v", "socket": "/s", "state": "connected", "poller": 1,
                    "stages": [stage("backend", 0, 0, [])],
                    "queues": [{"index": 0, "served": True, "kicks": 10 * count, "calls": count, "errors": 0, "service_gap_max_ns": 70,
                                "stages": [stage("ring", count, wait_ns, histogram)]},
                               {"index": 32, "served": False, "kicks": 0, "calls": 0, "errors": 0, "service_gap_max_ns": 0, "stages": []}]}
        older = {"now_ns": 1000000000, "pollers": [{"core": 1, "busy_ns": 100, "idle_ns": 100, "sleep_ns": 0, "passes": 1,
                                                    "service_gap_max_ns": 60, "active": 1, "queues": 1}],
                 "devices": [device(1000, 1000000, [[1000, 1000]])]}
        newer = {"now_ns": 3000000000, "pollers": [{"core": 1, "busy_ns": 1000000100, "idle_ns": 500000100, "sleep_ns": 500000000,
                                                    "passes": 9, "service_gap_max_ns": 90000, "active": 1, "queues": 1}],
                 "devices": [device(3000, 1000000 + 1980 * 1000 + 20 * 4000, [[1000, 2980], [4000, 20]])]}
        replies = [older, newer]
        self.api.answer("GET", "/v1/cards/local/stats", 200, lambda _: replies.pop(0) if len(replies) > 1 else replies[0])

    def test_rates_waits_and_littles_law(self):
        self.snapshots()
        stats = self.json("top")
        self.assertEqual(stats["interval_ns"], 2000000000)
        self.assertEqual(stats["pollers"], [{"core": 1, "busy_share": 0.5, "service_gap_max_ns": 90000, "active": 1, "queues": 1}])
        device = stats["devices"][0]
        self.assertEqual(len(device["queues"]), 1, "what is kept of queues that are gone is not a queue")
        queue = device["queues"][0]
        self.assertEqual((queue["kicks_per_s"], queue["calls_per_s"]), (10000, 1000))
        ring = queue["stages"][0]
        self.assertEqual((ring["name"], ring["rate_per_s"], ring["mib_per_s"]), ("ring", 1000, 1000 * 4096 / (1 << 20)))
        self.assertEqual(ring["wait_ns"], {"avg": 1030, "p50": 1000, "p99": 1000, "p999": 4000, "max": 5000})
        self.assertAlmostEqual(ring["occupancy"], 2060000 / 2e9)
        self.assertAlmostEqual(ring["littles_law_occupancy"], ring["occupancy"])

    def test_once_and_not_a_terminal(self):
        for arguments in (["top", "--once"], ["top"], ["top", "-n"]):
            self.snapshots()
            text = self.outboard(*arguments).stdout
            self.assertIn("poller on core 1:  50.0 % busy, 1 of 1 queues active, worst service gap 90.0us", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 80, "it fits a terminal")
            self.assertRegex(text, r"disk1\s+0\s+ring\s+1\.00k\s+3\.9\s+0\.00\s+1\.00us\s+1\.00us\s+4\.00us\s+5\.00us\s+100\n")
            self.assertNotIn("\x1b", text)

    def test_all_is_passed_on(self):
        self.api.answer("GET", "/v1/cards/local/stats?all=1", 200, {"now_ns": 1, "pollers": [], "devices": []})
        self.assertEqual(self.json("top", "--all", status=1)["error"]["code"], "protocol", "a clock that stands still")

    def test_foreign_counters(self):
        for reply in ({}, [], {"now_ns": 5, "pollers": 3, "devices": []}, {"now_ns": "x"}):
            self.api.answer("GET", "/v1/cards/local/stats", 200, reply)
            self.assertEqual(self.json("top", status=1)["error"]["code"], "protocol")

    def test_live_screen_ends_with_the_cursor_back(self):
        self.snapshots()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(tap.build("outboard"), ["outboard", "top"], self.environment)
        shown = b""
        while b"disk1" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        try:
            while data := os.read(terminal, 4096):
                shown += data
        except OSError:
            pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertTrue(shown.rstrip().endswith(b"\x1b[?25h"))


@unittest.skipIf(shutil.which("qemu-img") is None or shutil.which("qemu-nbd") is None, "needs qemu-utils")
class Transfer(CliTest):
    """import and export, against qemu-nbd in the card's place."""

    SIZE = 8 << 20

    def setUp(self):
        super().setUp()
        self.backing = os.path.join(self.folder, "backing")
        with open(self.backing, "wb") as f:
            f.truncate(self.SIZE)
        self.api.volumes["d"] = {**fake_api.VOLUME, "name": "d", "size_bytes": self.SIZE}
        self.servers = []
        self.addCleanup(self.stop_servers)
        self.nbd = os.path.join(self.folder, "nbd.sock")
        self.api.answer("POST", "/v1/attachments", 201, self.serve)

    def stop_servers(self):
        for server in self.servers:
            server.kill()
            server.wait()

    def serve(self, body):
        command = ["qemu-nbd", "-k", self.nbd, "-f", "raw", "-t", "-x", "", self.backing] + (["-r"] if body["read_only"] else [])
        self.servers.append(subprocess.Popen(command))
        while not os.path.exists(self.nbd):
            time.sleep(0.02)
        attachment = {"volume": "d", "kind": "nbd", "socket": self.nbd, "state": "waiting"}
        self.api.attachments["d"] = attachment
        return attachment

    def image(self, name, content=None, *, convert=None):
        path = os.path.join(self.folder, name)
        data = os.urandom(self.SIZE) if content is None else content
        with open(path, "wb") as f:
            f.write(data)
        if convert:
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", convert, path, f"{path}.{convert}"], check=True)
            path = f"{path}.{convert}"
        return path, data

    def test_import_raw_and_qcow2(self):
        for convert in (None, "qcow2"):
            path, data = self.image("image", convert=convert)
            result = self.json("volume", "import", "d", path)
            self.assertEqual(result, {"volume": "d", "image": path, "format": convert or "raw", "size_bytes": self.SIZE})
            with open(self.backing, "rb") as f:
                self.assertEqual(f.read(), data)
            self.assertEqual(self.api.attachments, {}, "nothing stays attached")
            self.stop_servers()
            os.unlink(self.nbd)

    def test_import_creates(self):
        path, data = self.image("image", os.urandom(self.SIZE - 1000))
        self.api.volumes = {}
        self.json("volume", "import", "d", path, "--create", "--encrypted", "--kek", "k", "--path", "b.img")
        create = [r for r in self.api.requests if r[:2] == ("POST", "/v1/volumes")][0][2]
        self.assertEqual(create, {"name": "d", "size_bytes": self.SIZE, "backend": "file", "encrypted": True, "kek": "k",
                                  "path": os.path.join(self.folder, "b.img")})
        with open(self.backing, "rb") as f:
            self.assertEqual(f.read(len(data)), data)

    def test_export_raw_and_qcow2(self):
        with open(self.backing, "r+b") as f:
            f.write(os.urandom(self.SIZE))
        for form in ("raw", "qcow2"):
            path = os.path.join(self.folder, f"out.{form}")
            self.assertEqual(self.json("volume", "export", "d", path, "--format", form)["format"], form)
            subprocess.run(["qemu-img", "compare", "-f", form, "-F", "raw", path, self.backing], check=True, stdout=subprocess.DEVNULL)
            self.assertFalse(os.path.exists(path + ".partial"))
            self.stop_servers()
            os.unlink(self.nbd)
        self.assertEqual(self.json("volume", "export", "d", path, status=1)["error"]["code"], "file_exists")
        self.json("volume", "export", "d", path, "--force")

    def test_progress(self):
        path, _ = self.image("image")
        done = self.outboard("volume", "import", "d", path)
        self.assertEqual(done.stderr.splitlines()[0], "importing d: 0 %")
        self.assertEqual(done.stderr.splitlines()[-1], "importing d: 100 %")
        self.assertEqual(done.stdout, f"d imported from {path} (raw, 8 MiB)\n")

    def test_progress_on_a_terminal(self):
        path, _ = self.image("image")
        main, terminal = pty.openpty()
        done = subprocess.run([tap.build("outboard"), "volume", "import", "d", path], env=self.environment, stdout=subprocess.PIPE,
                              stderr=terminal, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0)
        shown = os.read(main, 65536).decode()
        os.close(main)
        os.close(terminal)
        self.assertIn("importing d [##############################] 100 %  8 MiB of 8 MiB", shown)

    def refused(self, code, *arguments):
        error = self.json("volume", *arguments, status=1)["error"]
        self.assertEqual(error["code"], code, error)
        self.assertEqual(self.api.attachments, {})
        return error["message"]

    def test_images_that_are_refused(self):
        large, _ = self.image("large", b"x" * (self.SIZE + 1))
        self.assertIn("8388609 bytes", self.refused("image_too_large", "import", "d", large))
        base, _ = self.image("base", convert="qcow2")
        child = os.path.join(self.folder, "child.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", child], check=True)
        self.assertIn("needs a backing file", self.refused("image", "import", "d", child))
        self.assertIn("needs a backing file", self.refused("image", "import", "d", child, "--format", "qcow2"))
        split = os.path.join(self.folder, "split.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={self.folder}/data,data_file_raw=on", split, "1M"],
                       check=True)
        self.assertIn("keeps its data in another file", self.refused("image", "import", "d", split))
        foreign, _ = self.image("foreign", convert="vmdk")
        self.assertIn("is a VMDK image", self.refused("image", "import", "d", foreign))
        raw, _ = self.image("raw")
        self.assertIn("is not a qcow2 image", self.refused("image", "import", "d", raw, "--format", "qcow2"))
        empty, _ = self.image("empty", b"")
        self.assertIn("is empty", self.refused("image", "import", "d", empty))
        self.assertIn("cannot open", self.refused("image", "import", "d", "/nonexistent"))
        self.assertIn("not a file", self.refused("image", "import", "d", self.folder))
        self.assertEqual([r for r in self.api.requests if r[0] == "POST"], [], "nothing was attached for it")

    def test_raw_that_only_looks_like_qcow2(self):
        path, data = self.image("image", b"QFI\xfb" + os.urandom(self.SIZE - 4))
        self.assertEqual(self.json("volume", "import", "d", path, "--format", "raw")["format"], "raw")
        with open(self.backing, "rb") as f:
            self.assertEqual(f.read(), data)

    def test_volumes_that_are_refused(self):
        path, _ = self.image("image")
        self.assertEqual(self.refused("volume_not_found", "import", "nobody", path), 'there is no volume "nobody"')
        self.api.volumes["d"]["read_only"] = True
        self.refused("read_only", "import", "d", path)
        self.api.attachments["d"] = {"kind": "vhost-user-blk", "socket": "/s", "state": "connected"}
        error = self.json("volume", "import", "d", path, status=1)["error"]
        self.assertEqual(error["code"], "volume_attached")
        self.assertIn("d", self.api.attachments, "somebody else's attachment stays")

    def test_a_copy_that_fails_cleans_up(self):
        path, _ = self.image("image")
        volume = self.api.volumes["d"]
        self.api.answer("POST", "/v1/attachments", 201, lambda body: self.api.attachments.setdefault("d", {"socket": "/nonexistent/nbd.sock"}))
        self.assertIn("/nonexistent/nbd.sock", self.refused("copy", "import", "d", path))
        self.refused("copy", "import", "d", path, "--create")
        self.assertIn("d", self.api.volumes, "it was there before")
        self.api.volumes = {}
        self.refused("copy", "import", "d", path, "--create")
        self.assertEqual(self.api.volumes, {}, "what --create made goes with the copy that failed")
        self.api.volumes["d"] = volume
        out = os.path.join(self.folder, "out")
        self.refused("copy", "export", "d", out)
        self.assertEqual([f for f in os.listdir(self.folder) if f.startswith("out")], [])

    def test_detaching_fails(self):
        path, _ = self.image("image")
        self.api.answer("DELETE", "/v1/attachments/d", *fake_api.error(503, "card_timeout", "the card does not answer"))
        message = self.json("volume", "import", "d", path, status=1)["error"]["message"]
        self.assertEqual(message, "the copy is complete, but the volume is still attached: the card does not answer")

    def test_no_qemu_img(self):
        path, _ = self.image("image")
        environment = {**self.environment, "PATH": self.folder}
        self.assertIn("apt install qemu-utils", self.json("volume", "import", "d", path, status=1, env=environment)["error"]["message"])
        self.assertEqual(self.api.attachments, {})

    def test_signals_detach(self):
        """With a server that accepts and never says a word, the copy can only be ended from outside."""
        path, _ = self.image("image")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(self.nbd)
            silent.listen()
            attachment = {"volume": "d", "kind": "nbd", "socket": self.nbd}
            self.api.answer("POST", "/v1/attachments", 201, lambda body: self.api.attachments.setdefault("d", attachment))
            for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                process = subprocess.Popen([tap.build("outboard"), "volume", "import", "d", path], env=self.environment,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                connection, _ = silent.accept()
                process.send_signal(sig)
                _, errors = process.communicate(timeout=PATIENCE_S)
                connection.close()
                self.assertEqual(process.returncode, 1)
                self.assertIn("interrupted", errors)
                self.assertEqual(self.api.attachments, {})


class Consistency(CliTest):
    """The tables of the program, its completion and its manual say the same."""

    def setUp(self):
        super().setUp()
        self.tables = json.loads(self.outboard("--tables").stdout)
        self.manual = {}
        for name in ("outboard", "outboard-volume", "outboard-vpc", "outboard-eni", "outboard-key", "outboard-run", "outboard-top",
                     "outboard-bench"):
            page = [os.path.join(tap.ROOT, "docs", "man", f"{name}.{section}") for section in "18"]
            page = [p for p in page if os.path.exists(p)][0]
            with open(page) as f:
                self.manual[name] = f.read()

    def page_of(self, command):
        first = command.split()[0]
        if first in ("subnet", "security-group", "acl", "route-table", "nat", "eip", "peering", "host"):
            return "outboard-vpc"
        return f"outboard-{first}" if f"outboard-{first}" in self.manual else "outboard"

    def test_every_command_has_help_and_summary(self):
        for command in self.tables["commands"]:
            with self.subTest(command=command["name"]):
                self.assertGreater(len(command["summary"]), 10)
                text = self.outboard(*command["name"].split(), "--help").stdout
                self.assertIn(f"Usage: outboard {command['name']}", text)
                for option in command["options"]:
                    self.assertIn(f"--{option['name']}", text)

    def test_the_manual_covers_every_command_and_option(self):
        for command in self.tables["commands"]:
            page = self.manual[self.page_of(command["name"])]
            with self.subTest(command=command["name"]):
                self.assertRegex(page, rf"(?m)^\.(Ss|Nm outboard|It Cm) (.* )?{command['name'].split()[-1]}\b")
                for option in command["options"]:
                    self.assertRegex(page, rf"(?m)^\.It .*Fl Fl {option['name']}\b", f"{command['name']} --{option['name']}")
        for option in self.tables["options"]:
            self.assertRegex(self.manual["outboard"], rf"(?m)^\.It .*Fl Fl {option['name']}\b")

    def test_the_manual_has_no_option_that_is_gone(self):
        known = {o["name"] for c in self.tables["commands"] for o in c["options"]} | {o["name"] for o in self.tables["options"]}
        for page, text in self.manual.items():
            for name in re.findall(r"(?m)^\.It .*?Fl Fl ([a-z-]+)", text):
                self.assertIn(name, known, page)

    def test_the_load_clients_have_these_options(self):
        for kind in ("blk", "net"):
            text = self.outboard("bench", kind, "--help").stdout
            table = [c for c in self.tables["commands"] if c["name"] == f"bench {kind}"][0]
            options = set(re.findall(r"(?m)^  --([a-z-]+)", text)) - {"json", "help"}
            self.assertEqual(options, {o["name"] for o in table["options"]}, kind)

    def complete(self, *words):
        return self.outboard("--complete", *words).stdout.split()

    def test_completion_offers_every_command_and_option(self):
        for command in self.tables["commands"]:
            *before, last = command["name"].split()
            self.assertIn(last, self.complete(*before, ""))
            if not command["group"]:
                offered = self.complete(*before, last, "--")
                for option in command["options"] + self.tables["options"]:
                    self.assertIn(f"--{option['name']}", offered)

    def test_completion_of_values(self):
        self.api.volumes = {"disk1": {**fake_api.VOLUME}, "other": {**fake_api.VOLUME, "name": "other"}}
        self.api.answer("GET", "/v1/keys", 200, [{"name": "tenant"}])
        self.assertEqual(self.complete("volume", "show", "d"), ["disk1"])
        self.assertEqual(self.complete("volume", "show", "disk1", ""), [])
        self.assertEqual(self.complete("volume", "create", "x", "--kek", ""), ["tenant"])
        self.assertEqual(self.complete("volume", "create", "x", "--backend", "m"), ["memory"])
        self.assertEqual(self.complete("volume", "create", "x", "--path", "/"), [":file"])
        self.assertEqual(self.complete("run", "--state-dir", ""), [":folder"])
        self.assertEqual(self.complete("--api", "/nonexistent", "volume", "show", ""), [])
        self.assertEqual(self.complete("vol"), ["volume"])

    @unittest.skipIf(shutil.which("bash") is None, "needs bash")
    def test_bash_completes(self):
        self.api.volumes = {"disk1": {**fake_api.VOLUME}}
        os.mkdir(os.path.join(self.folder, "folder"))
        script = os.path.join(tap.ROOT, "packaging", "outboard.bash")

        def bash(*words):
            body = (f'source {script}; COMP_WORDS=({" ".join(words)}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _outboard; '
                    'echo "${COMPREPLY[@]}"')
            path = f"{os.path.dirname(tap.build('outboard'))}:{os.environ['PATH']}"
            return subprocess.run(["bash", "-c", body], env={**self.environment, "PATH": path}, stdout=subprocess.PIPE, text=True,
                                  check=True, cwd=self.folder).stdout.split()

        self.assertEqual(bash("outboard", "volume", "detach", "''"), ["disk1"])
        self.assertEqual(bash("outboard", "volume", "cr"), ["create"])
        self.assertEqual(bash("outboard", "run", "--state-dir", "fo"), ["folder"])

    @unittest.skipIf(shutil.which("mandoc") is None, "needs mandoc")
    def test_manual_pages_are_well_formed(self):
        folder = os.path.join(tap.ROOT, "docs", "man")
        for name in sorted(os.listdir(folder)):
            with self.subTest(page=name):
                done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", os.path.join(folder, name)], stdout=subprocess.PIPE,
                                      text=True)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    tap.main()
