"""A test case with the outboard command and, in the card's place, an API that is a script (fake_api.py)."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import fake_api
import tap

PATIENCE_S = 60


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="outboard-cli-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.socket = os.path.join(self.folder, "api.sock")
        self.api = fake_api.FakeApi(self.socket)
        self.addCleanup(self.api.close)
        self.environment = {**os.environ, "OUTBOARD_API": self.socket, "http_proxy": "http://192.0.2.1:1/"}

    def outboard(self, *arguments, status=0, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("env", self.environment)
        done = subprocess.run([tap.build("outboard"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE_S, cwd=self.folder, **more)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def json(self, *arguments, **more):
        done = self.outboard("--json", *arguments, **more)
        self.assertEqual(done.stderr, "", "with --json nothing but the object")
        self.assertEqual(done.stdout.count("\n"), 1)
        value = json.loads(done.stdout)
        self.assertIsInstance(value, dict)
        return value
