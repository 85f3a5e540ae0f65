#!/usr/bin/python3
"""Seeds for descriptor_chain: one honest guest a kind of ring, each with several requests, so that the fuzzer starts where it gets interesting.

usage: seeds_virtio.py FOLDER
"""
import os
import struct
import sys

NEXT, WRITE, INDIRECT, AVAIL = 1, 2, 4, 1 << 7
PACKED, EVENT_IDX, NO_INDIRECT, HOLD, READ_ONLY, BLOCK_4096, ODD_SIZE = (1 << i for i in range(7))
DRIVER_AT, HEADERS_AT, TABLES_AT, DATA_AT = 0x100, 0x200, 0x280, 0x400
IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES, SECURE_ERASE = 0, 1, 4, 8, 11, 13, 14


class Guest:
    def __init__(self, flags):
        self.flags, self.memory, self.slots, self.heads = flags, bytearray(0x1000), [], []

    def poke(self, at, data):
        self.memory[at:at + len(data)] = data

    def request(self, kind, sector, pieces, indirect):
        """pieces: [(address, length, writable)] of the data"""
        header = HEADERS_AT + 32 * len(self.heads)
        self.poke(header, struct.pack("<IIQ", kind, 0, sector))
        chain = [(header, 16, False), *pieces, (header + 16, 1, True)]
        table = TABLES_AT + 96 * len(self.heads)
        entries = [(a, n, (WRITE if w else 0) | (NEXT if i + 1 < len(chain) else 0)) for i, (a, n, w) in enumerate(chain)]
        if indirect:
            for i, (a, n, f) in enumerate(entries):
                rest = (0, f & WRITE) if self.flags & PACKED else (f, i + 1)
                self.poke(table + 16 * i, struct.pack("<QIHH", a, n, *rest))
            entries = [(table, 16 * len(entries), INDIRECT)]
        self.heads.append(len(self.slots))
        for i, (a, n, f) in enumerate(entries):
            at = len(self.slots)
            rest = (7, f | AVAIL) if self.flags & PACKED else (f, at + 1)
            self.slots.append(struct.pack("<QIHH", a, n, *rest))

    def finish(self, writes=()):
        for i, slot in enumerate(self.slots):
            self.poke(16 * i, slot)
        if not self.flags & PACKED:
            self.poke(DRIVER_AT, struct.pack("<HH", 0, len(self.heads)) + b"".join(struct.pack("<H", h) for h in self.heads))
        end = len(self.memory.rstrip(b"\0"))
        return bytes([self.flags, len(writes)]) + b"".join(struct.pack("<HH", *w) for w in writes) + bytes(self.memory[:end])


def seeds():
    data = [(DATA_AT, 512, True)]
    for base in (0, PACKED, EVENT_IDX, PACKED | EVENT_IDX, HOLD, PACKED | HOLD, PACKED | ODD_SIZE):
        for indirect in (False, True):
            g = Guest(base)
            g.request(IN, 3, data, indirect)
            g.request(OUT, 5, [(DATA_AT + 1, 511, False), (0xffff, 1, False)], indirect)
            yield g.finish([(DRIVER_AT + 2, 3)])
            g = Guest(base)
            g.request(FLUSH, 0, [], indirect)
            g.request(GET_ID, 0, [(DATA_AT, 20, True)], indirect)
            g.request(99, 0, [], indirect)
            yield g.finish()
            for kind in (DISCARD, WRITE_ZEROES, SECURE_ERASE):
                g = Guest(base)
                g.poke(DATA_AT, b"".join(struct.pack("<QII", i * 2, 1, int(kind == WRITE_ZEROES)) for i in range(3)))
                g.request(kind, 0, [(DATA_AT, 48, False)], indirect)
                yield g.finish()
            g = Guest(base | BLOCK_4096)
            g.request(IN, 8, [(0xf000, 8192, True)], indirect)
            yield g.finish()
            g = Guest(base)
            g.request(IN, 8, [(0x1000, 0x1e000, True)] * 12, True)  # more than a visit's worth
            yield g.finish()
            g = Guest(base | READ_ONLY | NO_INDIRECT)
            g.request(OUT, 8, [(DATA_AT, 512, False)], indirect)
            yield g.finish()


def main():
    for i, seed in enumerate(seeds()):
        with open(os.path.join(sys.argv[1], f"seed-{i:02}"), "wb") as f:
            f.write(seed)


main()
