#!/usr/bin/python3
"""Stands for outboard-vault, -card or -control under a chassis. Copied beside the outboard command under their names.

Behaviour: lines of NAME.do beside it, one word and its argument each, done in order; then it waits for SIGTERM.
    ready           READY=1
    exit N          ends
    kill N          ends by signal N
    store NAME TEXT keeps a memfd with TEXT under NAME
    remove NAME     FDSTOREREMOVE
    deaf            ignores SIGTERM
    speak NAME      pretends READY=1 of another: from a process of its own
    garbage         an over-long message
Every start appends one JSON object to NAME.log: pid, argv, names of the descriptors, what can be read from those that are files.
"""
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

FOLDER, NAME = os.path.split(os.path.abspath(sys.argv[0]))


def notify(text, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ["NOTIFY_SOCKET"])
        if fds:
            socket.send_fds(s, [text.encode()], fds)
        else:
            s.send(text.encode())


def inherited():
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ["LISTEN_FDS"])
    assert int(os.environ["LISTEN_PID"]) == os.getpid() and len(names) == count, os.environ
    return [(name, 3 + i) for i, name in enumerate(names)]


def contents(fd):
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.read(fd, 4096).hex()  # by the position that we were given, as a child may
    return None


def log_start():
    fds = inherited()
    open_fds = sorted(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}"))
    record = {"pid": os.getpid(), "argv": sys.argv[1:], "names": [n for n, _ in fds], "open": open_fds,
              "files": {n: contents(f) for n, f in fds}, "group": os.getpgid(0),
              "stdin": os.readlink("/proc/self/fd/0"), "blocked": [l for l in open("/proc/self/status") if l.startswith("SigBlk")]}
    with open(os.path.join(FOLDER, f"{NAME}.log"), "a") as f:
        f.write(json.dumps(record) + "\n")
    return dict(fds)


def act(word, argument):
    if word == "ready":
        notify("STATUS=serving\nREADY=1")
    elif word == "exit":
        os._exit(int(argument[0]))
    elif word == "kill":
        os.kill(os.getpid(), int(argument[0]))
    elif word == "store":
        fd = os.memfd_create("kept")
        os.pwrite(fd, argument[1].encode(), 0)
        notify(f"FDSTORE=1\nFDNAME={argument[0]}", [fd])
    elif word == "remove":
        notify(f"FDSTOREREMOVE=1\nFDNAME={argument[0]}")
    elif word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif word == "speak":
        subprocess.run([sys.executable, "-c", "import os,socket\n"
                        "s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n"
                        "s.connect(os.environ['NOTIFY_SOCKET'])\ns.send(b'READY=1')"], check=True)
    elif word == "garbage":
        notify("X" * 5000)
    else:
        raise ValueError(word)


def channels(fds):
    """Echo on every channel what comes, with our name: so that a test sees who is connected to whom."""
    for peer in ("vault", "card", "control"):
        if peer in fds:
            yield peer, socket.socket(fileno=fds[peer])


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    fds = log_start()
    pairs = list(channels(fds))
    for peer, channel in pairs:
        channel.send(f"{NAME} to {peer}".encode())
    with open(os.path.join(FOLDER, f"{NAME}.do")) as f:
        for line in f:
            word, *argument = line.split()
            act(word, argument)
    for peer, channel in pairs:
        channel.setblocking(False)
    while True:
        for peer, channel in pairs:
            try:
                text = channel.recv(4096).decode()
            except BlockingIOError:
                continue
            with open(os.path.join(FOLDER, f"{NAME}.heard"), "a") as f:
                f.write(text + "\n")
        time.sleep(0.02)


main()
