"""Block devices for tests: a loop device over a file. Only where the system lets us make one."""
import os
import stat
import subprocess

ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def is_block_device(path):
    return os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode)


def device(test, path, size):
    """The node of a device of `size` bytes over the new file `path`; it is taken down when the test ends."""
    with open(path, "wb") as f:
        f.truncate(size)
    done = subprocess.run(["losetup", "--find", "--show", path], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode != 0:
        test.skipTest(f"no loop device can be made: {done.stderr.strip()}")
    node = done.stdout.strip()
    test.addCleanup(subprocess.run, ["losetup", "--detach", node], check=True, env=ENVIRONMENT)
    return node
