#!/usr/bin/python3
"""Writes seeds for fuzz/vhost_user.c: set-ups as real VMMs do them, so that the fuzzer starts from queues that are served.

usage: seeds_vhost_user.py FOLDER
"""
import os
import struct
import sys

MEMORY = 1 << 20
USER = 0x7F0000000000
EVENT, MEMFD, SOCKET = 1, 2, 3
PROTOCOL_BIT, NOW, ACK = 1 << 30, 0x80, 0x40


def step(request, payload=b"", kinds=0, flags=NOW):
    return bytes([request | flags, kinds, len(payload)]) + payload


def u64(value):
    return struct.pack("<Q", value)


def state(index, num):
    return struct.pack("<II", index, num)


def protocol():
    return (step(1) + step(15) + step(16, u64(0x1B229)) + step(17) + step(36) + step(21, kinds=SOCKET, flags=NOW | ACK) + step(3)
            + step(24, struct.pack("<III", 0, 60, 0) + bytes(60)))


def region(guest=0, size=MEMORY, user=USER, offset=0):
    return struct.pack("<QQQQ", guest, size, user, offset)


def add(*args, **kwargs):
    return step(37, bytes(8) + region(*args), kinds=MEMFD, flags=NOW | ACK)


def ring(index, size=128, base=0):
    at = USER + index * 0x10000
    return (step(8, state(index, size)) + step(10, state(index, base))
            + step(9, struct.pack("<IIQQQQ", index, 0, at, at + 0x8000, at + 0x4000, 0)) + step(12, u64(index), EVENT)
            + step(13, u64(index), EVENT) + step(14, u64(index | 0x100)))


def enable(count=3, on=1):
    return b"".join(step(18, state(i, on)) for i in range(count))


SPLIT, PACKED = 1 << 32 | 1 << 29 | 1 << 28, 1 << 34 | 1 << 32
rings = ring(0) + ring(1) + ring(2)
served = protocol() + step(2, u64(SPLIT | PROTOCOL_BIT)) + add() + rings + enable()

SEEDS = {
    "qemu": served + b"".join(step(11, state(i, 0)) for i in range(3)),
    "qemu-waits": served + step(11, state(1, 0), flags=0) + step(17) + step(11, state(2, 0), flags=0) + step(40),
    "table": step(2, u64(SPLIT)) + step(5, struct.pack("<II", 1, 0) + region(), MEMFD) + ring(0) + ring(1, 256),
    "tables": served + step(5, struct.pack("<II", 2, 0) + region(0, 0x80000) + region(0x100000, 0x80000, USER + 0x100000, 0x80000),
                            MEMFD | MEMFD << 3, flags=ACK) + step(5, struct.pack("<II", 1, 0) + region(), MEMFD),
    "packed": protocol() + step(2, u64(PACKED | PROTOCOL_BIT)) + add() + ring(0, 100, 0x80008000) + enable(1) + step(11, state(0, 0)),
    "regions": served + add(0x200000, 0x1000, 0x200000, 0) + step(38, bytes(8) + region(0x200000, 0x1000, 0x200000, 0), flags=0)
    + step(38, bytes(8) + region()) + add(),
    "inflight": protocol() + step(2, u64(SPLIT | PROTOCOL_BIT)) + step(31, struct.pack("<QQHHI", 0, 0, 3, 128, 0)) + add() + rings
    + enable() + step(32, struct.pack("<QQHHI", 65536, 0, 3, 128, 0), MEMFD, flags=ACK),
    "reset": served + step(39, u64(15)) + step(40) + step(34, flags=ACK) + step(2, u64(SPLIT | PROTOCOL_BIT)) + rings + enable()
    + step(39, u64(0), flags=0) + step(4),
    "config": protocol() + step(25, struct.pack("<III", 32, 1, 0) + b"\1") + step(24, struct.pack("<III", 50, 30, 0) + bytes(30)),
    "grow": step(2, u64(SPLIT)) + step(5, struct.pack("<II", 1, 0) + region(), MEMFD) + ring(0, 64) + ring(1, 1024),
    "call": served + step(13, u64(1), EVENT, flags=0) + step(13, u64(1 | 0x100), flags=0) + step(12, u64(2 | 0x100), flags=0),
    "truncated": protocol() + step(2, u64(SPLIT | PROTOCOL_BIT)) + add() + rings + step(63) + enable() + step(62) + step(9, bytes(40)),
    "many": step(5, struct.pack("<II", 32, 0), 0xC0 | MEMFD),
}

for name, data in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
