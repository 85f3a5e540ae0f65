#!/usr/bin/python3
"""The tests' own tools: that a failure is counted as one, and that broken rules are seen."""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap


class Counting(unittest.TestCase):
    def setUp(self):
        loader = importlib.machinery.SourceFileLoader("run", os.path.join(tap.ROOT, "test", "run"))
        self.run_module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
        loader.exec_module(self.run_module)
        self.folder = tempfile.mkdtemp(prefix="outboard-meta-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def count(self, output, status):
        self.tally = self.run_module.Tally(os.path.join(self.folder, "logs"))
        return self.tally.add("a group", output, status)

    def test_passed_failed_skipped(self):
        for output, status, counts in (("ok 1 - a\n1..1\n", 0, (1, 0, 0)),
                                       ("ok 1\nnot ok 2\n1..2\n", 1, (1, 1, 0)),
                                       ("ok 1 # SKIP no KVM\nok 2\n1..2\n", 0, (1, 0, 1)),
                                       ("1..0 # SKIP no KVM\n", 0, (0, 0, 1))):
            self.assertEqual(self.count(output, status), counts, output)

    def test_what_fails_without_saying_so(self):
        for output, status in (("", 0), ("", 1), ("Segmentation fault\n", 139), ("ok 1\n1..1\n", 1), ("ok 1\n1..2\n", 0), ("1..0\n", 0)):
            passed, failed, _ = self.count(output, status)
            self.assertEqual(failed, 1, output)
            self.assertLessEqual(passed, 1)

    def test_failures_leave_a_log(self):
        self.count("not ok 1 - it broke\n1..1\n", 1)
        group, path, lines = self.tally.failures[0]
        self.assertEqual((group, lines), ("a group", ["not ok 1 - it broke"]))
        with open(path) as f:
            self.assertIn("it broke", f.read())


class Rules(unittest.TestCase):
    """A copy of the script, in a tree of its own, which breaks one rule after the other."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="outboard-meta-")
        self.addCleanup(shutil.rmtree, self.root)
        self.write("ARCHITECTURE.md", "| folder | why |\n|---|---|\n| `src/x` | y |\n\n| folder | may include |\n|---|---|\n| `src/base` | |\n"
                                      "| `src/cli` | `base`, `load/*_proto.h` |\n| `src/load` | `base` |\n")
        for folder in ("base", "cli", "load"):
            self.write(f"src/{folder}/a.h", "#include <stdint.h>\n")
        self.write("src/load/b_proto.h", "\n")

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    def run_script(self, name, **replace):
        with open(os.path.join(tap.ROOT, "test", name)) as f:
            text = f.read()
        for old, new in replace.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.write(f"test/{name}", text)
        done = subprocess.run([sys.executable, os.path.join(self.root, "test", name)], stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode != 0, "\nnot ok" in "\n" + done.stdout)
        return done.stdout

    def includes(self):
        return [line for line in self.run_script("includes").splitlines() if " includes " in line]

    def test_allowed_includes(self):
        self.write("src/cli/b.c", '#include "cli/a.h"\n#include "base/a.h"\n  #  include "load/b_proto.h"\n#include <jansson.h>\n#include <sys/wait.h>\n')
        self.assertEqual(self.includes(), [])

    def test_forbidden_includes(self):
        for text, said in (('#include "load/a.h"', "not in the row of src/cli"), ('#include "a.h"', "not written from src/"),
                           ("#include <sqlite3.h>", "not a library of src/cli"), ("#include <never/heard.h>", "not a library of src/cli")):
            self.write("src/cli/b.c", f"\n{text}\n")
            self.assertEqual([line.startswith("# src/cli/b.c:2") and said in line for line in self.includes()], [True], text)
        self.write("src/cli/b.c", "")
        self.write("src/base/b.c", '#include "cli/a.h"\n')
        self.assertEqual(len(self.includes()), 1)

    def test_folders_and_rows(self):
        self.write("src/other/a.c", "\n")
        self.assertIn("# it has no row in ARCHITECTURE.md", self.run_script("includes"))
        shutil.rmtree(os.path.join(self.root, "src/load"))
        self.assertIn("# src/load\n", self.run_script("includes"))

    def test_style(self):
        self.assertNotIn("not ok", self.run_script("style"))
        self.write("src/base/long.c", "\n" * 801)
        self.write("src/base/function.c", "static int\nlong_one(int a,\n\tint b)\n{\n" + "\ta++;\n" * 70 + "}\n")
        self.write("src/base/left.c", "/* TO" + "DO: later */\n")
        text = self.run_script("style")
        self.assertIn("src/base/long.c has 801 lines", text)
        self.assertIn("long_one() has 74 lines", text)
        self.assertIn("src/base/left.c:1", text)

    def test_exemptions_may_not_go_stale(self):
        text = self.run_script("style", **{"EXEMPT = {}": 'EXEMPT = {"src/base/a.h": "was long once"}'})
        self.assertIn("not ok 4 - no exemption is stale\n# src/base/a.h: was long once", text)


if __name__ == "__main__":
    tap.main()
