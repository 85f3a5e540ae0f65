"""A VMM's end of the vhost-user protocol, and a disk's driver on top of it, for requests that no proper client would send.

`Front` sends anything: messages of any type, size and flags, with any descriptors. `Disk` is a virtio-blk driver (VIRTIO 1.2, section
5.2) with one split ring that does one request at a time and gives back its status byte: what a guest sees.
"""
import array
import mmap
import os
import select
import socket
import struct

PATIENCE_S = 60

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = range(8, 15)
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = range(15, 19)
SET_BACKEND_REQ_FD, GET_CONFIG, SET_CONFIG, GET_INFLIGHT_FD, SET_INFLIGHT_FD = 21, 24, 25, 31, 32
RESET_DEVICE, GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 34, 36, 37, 38, 39, 40
REQUEST_LIMIT = 41

VERSION, REPLY, NEED_REPLY = 1, 4, 8
F_VERSION_1, F_PROTOCOL_FEATURES = 1 << 32, 1 << 30
T_IN, T_OUT, T_FLUSH, T_GET_ID, T_DISCARD, T_WRITE_ZEROES = 0, 1, 4, 8, 11, 13
S_OK, S_IOERR, S_UNSUPP = 0, 1, 2


class Front:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        """`size`: what the header says, when that is not the truth."""
        message = struct.pack("=III", request, flags, len(payload) if size is None else size) + payload
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], ancillary)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more, fds, _, _ = socket.recv_fds(self.socket, size - len(data), 8)
            for fd in fds:
                os.close(fd)
            if not more:
                raise ConnectionResetError("the back end closed the connection")
            data += more
        return data

    def receive(self):
        request, flags, size = struct.unpack("=III", self._exactly(12))
        return request, flags, self._exactly(size)

    def ask(self, request, payload=b"", fds=()):
        self.send(request, payload, fds)
        return self.receive()[2]

    def alive(self):
        """False: the back end closed the connection. Waits until it has read everything before."""
        try:
            self.send(GET_FEATURES)
            while self.receive()[0] != GET_FEATURES:  # answers to what was sent before
                pass
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def close(self):
        self.socket.close()


class Disk(Front):
    """The ring, headers and data lie in one shared memory: see the offsets."""
    ENTRIES, GUEST, USER = 16, 0x40000000, 0x7f0000000000
    DESC, AVAIL, USED, HEADER, STATUS, DATA, BYTES = 0, 0x1000, 0x2000, 0x3000, 0x3800, 0x4000, 2 << 20

    def __init__(self, path):
        super().__init__(path)
        self.memory_fd = os.memfd_create("guest")
        os.ftruncate(self.memory_fd, self.BYTES)
        self.memory = mmap.mmap(self.memory_fd, self.BYTES)
        self.kick, self.interrupt = os.eventfd(0), os.eventfd(0)
        self.done = 0
        self.features = struct.unpack("=Q", self.ask(GET_FEATURES))[0]
        self.send(SET_PROTOCOL_FEATURES, struct.pack("=Q", 1 << 3 | 1 << 9))  # REPLY_ACK, CONFIG
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack("=Q", F_VERSION_1 | F_PROTOCOL_FEATURES | self.features & 0x7fffff & ~(1 << 12)))
        self.share_memory()
        self.start_queue()

    def share_memory(self):
        self.send(SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, self.GUEST, self.BYTES, self.USER, 0), [self.memory_fd])

    def start_queue(self):
        self.send(SET_VRING_NUM, struct.pack("=II", 0, self.ENTRIES))
        self.send(SET_VRING_BASE, struct.pack("=II", 0, 0))
        self.send(SET_VRING_ADDR, struct.pack("=IIQQQQ", 0, 0, self.USER + self.DESC, self.USER + self.USED, self.USER + self.AVAIL, 0))
        self.send(SET_VRING_CALL, struct.pack("=Q", 0), [self.interrupt])
        self.send(SET_VRING_KICK, struct.pack("=Q", 0), [self.kick])
        self.send(SET_VRING_ENABLE, struct.pack("=II", 0, 1))

    def capacity(self):
        return 512 * struct.unpack_from("=Q", self.ask(GET_CONFIG, struct.pack("=III", 0, 60, 0) + bytes(60)), 12)[0]

    def _wait_used(self):
        while struct.unpack_from("=H", self.memory, self.USED + 2)[0] != self.done & 0xffff:
            if not select.select([self.interrupt, self.socket], [], [], PATIENCE_S)[0]:
                raise AssertionError("a request was never answered")
            if select.select([self.interrupt], [], [], 0)[0]:
                os.eventfd_read(self.interrupt)
            elif not self.socket.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError("the back end closed the connection")

    def request(self, kind, sector=0, out=b"", into=0):
        """(status, data read). `out` is sent, `into` bytes are read."""
        self.memory[self.HEADER:self.HEADER + 16] = struct.pack("=IIQ", kind, 0, sector)
        self.memory[self.STATUS] = 0xff
        self.memory[self.DATA:self.DATA + len(out)] = out
        pieces = [(self.HEADER, 16, 0), (self.STATUS, 1, 2)]
        if out or into:
            pieces.insert(1, (self.DATA, len(out) or into, 0 if out else 2))
        for i, (offset, size, flags) in enumerate(pieces):
            last = i == len(pieces) - 1
            struct.pack_into("=QIHH", self.memory, self.DESC + 16 * i, self.GUEST + offset, size, flags | (not last), i + 1)
        struct.pack_into("=H", self.memory, self.AVAIL + 4 + 2 * (self.done % self.ENTRIES), 0)
        self.done += 1
        struct.pack_into("=H", self.memory, self.AVAIL + 2, self.done & 0xffff)
        os.eventfd_write(self.kick, 1)
        self._wait_used()
        return self.memory[self.STATUS], self.memory[self.DATA:self.DATA + into]

    def write(self, offset, data):
        return self.request(T_OUT, offset // 512, out=data)[0]

    def read(self, offset, size):
        return self.request(T_IN, offset // 512, into=size)

    def close(self):
        super().close()
        self.memory.close()
        for fd in (self.memory_fd, self.kick, self.interrupt):
            os.close(fd)
