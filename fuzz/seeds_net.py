#!/usr/bin/python3
"""Seeds for net_ring: one honest driver a kind of ring, with the shapes that drivers use, so that the fuzzer starts where it gets interesting.

usage: seeds_net.py FOLDER
"""
import os
import struct
import sys

NEXT, WRITE, INDIRECT, AVAIL = 1, 2, 4, 1 << 7
PACKED, EVENT_IDX, NO_INDIRECT, NO_MERGE, NO_GUEST_CSUM, LEGACY, ODD_SIZE, PAIRS = (1 << i for i in range(8))
QUEUE, DRIVER_AT, TABLES_AT, DATA_AT, BUFFERS_AT = 0x400, 0x100, 0xc00, 0x1000, 0x4000
FRAME = bytes.fromhex("020000000002020000000001080045000054") + bytes(5) + b"\x06" + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 4, 0]) + bytes(60)


def header(flags=0, gso=0, gso_size=0, start=0, offset=0, legacy=False):
    return struct.pack("<BBHHHHH", flags, gso, 54, gso_size, start, offset, 0)[:10 if legacy else 12]


class Guest:
    def __init__(self, flags):
        self.flags, self.memory, self.tables = flags, bytearray(0x10000), 0
        self.slots, self.heads = [[], [], []], [[], [], []]

    def poke(self, at, data):
        self.memory[at:at + len(data)] = data

    def chain(self, queue, pieces, indirect=False, write=0):
        entries = [(a, n, write | (NEXT if i + 1 < len(pieces) else 0)) for i, (a, n) in enumerate(pieces)]
        if indirect:
            table = TABLES_AT + 128 * self.tables
            self.tables += 1
            for i, (a, n, f) in enumerate(entries):
                self.poke(table + 16 * i, struct.pack("<QIHH", a, n, *((0, f & WRITE) if self.flags & PACKED else (f, i + 1))))
            entries = [(table, 16 * len(entries), INDIRECT)]
        self.heads[queue].append(len(self.slots[queue]))
        for a, n, f in entries:
            at = len(self.slots[queue])
            self.slots[queue].append(struct.pack("<QIHH", a, n, *((at, f | AVAIL) if self.flags & PACKED else (f, at + 1))))

    def finish(self, writes=()):
        for queue in range(3):
            self.poke(queue * QUEUE, b"".join(self.slots[queue][:8]))
            if not self.flags & PACKED:
                heads = self.heads[queue]
                self.poke(queue * QUEUE + DRIVER_AT, struct.pack(f"<HH{len(heads)}H", 0, len(heads), *heads))
        end = len(self.memory.rstrip(b"\0"))
        return bytes([self.flags, len(writes)]) + b"".join(struct.pack("<HH", *w) for w in writes) + bytes(self.memory[:end])


def seeds():
    for base in (0, PACKED, EVENT_IDX, PACKED | EVENT_IDX | ODD_SIZE, PAIRS, PACKED | PAIRS, NO_MERGE, PACKED | NO_MERGE, NO_GUEST_CSUM,
                 LEGACY, LEGACY | NO_MERGE, NO_INDIRECT):
        legacy = bool(base & LEGACY and base & NO_MERGE)
        size = 10 if legacy else 12
        for shape in range(5):
            g = Guest(base)
            buffers = [[(BUFFERS_AT + 2048 * i, 1536)] for i in range(7)]
            if shape == 3:
                buffers = [[(BUFFERS_AT + 2048 * i, size), (BUFFERS_AT + 2048 * i + 512, 700), (0xff00, 0x4000)] for i in range(2)]
            if shape == 4:
                buffers = [[(0xf000, 0x11000)]]
            for queue in (0, 2):
                for pieces in buffers:
                    g.chain(queue, pieces, shape == 3 and not base & NO_INDIRECT, WRITE)
            plain = header(legacy=legacy)
            large = header(1, (1, 4, 5, 0x81)[shape % 4], 500, 34, 16, legacy)
            g.poke(DATA_AT, plain + FRAME)
            g.poke(DATA_AT + 0x400, large + FRAME)
            g.chain(1, [(DATA_AT, size + len(FRAME))])
            indirect = shape % 2 == 1 and not base & NO_INDIRECT
            if shape < 2:
                g.chain(1, [(DATA_AT, size), (DATA_AT + size, len(FRAME))], indirect)
            g.chain(1, [(DATA_AT + 0x400, size + 66), (DATA_AT + 0x400 + size + 66, 300), (0xff80, 1000)], indirect)
            yield g.finish([(QUEUE + DRIVER_AT + 2, 8)] * (shape + 1))


def main():
    for i, seed in enumerate(seeds()):
        with open(os.path.join(sys.argv[1], f"seed-{i:02}"), "wb") as f:
            f.write(seed)


main()
