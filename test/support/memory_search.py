"""Looks for bytes where they must not be: in the memory of every other process that root can read, and in files."""
import ctypes
import errno
import fcntl
import os
import struct

CHUNK_BYTES = 8 << 20
PAGE_BYTES = 4096
PAGEMAP_SCAN = 0xc0606610  # _IOWR('f', 16, struct pm_scan_arg), include/uapi/linux/fs.h
PAGE_IS_PRESENT, PAGE_IS_SWAPPED = 1 << 3, 1 << 4
RANGES = 1024


def present(pagemap, start, end):
    """The ranges of [start, end) that hold something: an address space may be reserved by the terabyte."""
    try:
        yield from present_by_scan(pagemap, start, end)
    except OSError as e:
        if e.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        yield from present_by_entries(pagemap, start, end)


def present_by_entries(pagemap, start, end):
    """Before Linux 6.7: one entry of eight bytes a page (Documentation/admin-guide/mm/pagemap.rst), bits 63 and 62 say that it is there."""
    while start < end:
        data = os.pread(pagemap, min(CHUNK_BYTES, (end - start) // PAGE_BYTES * 8), start // PAGE_BYTES * 8)
        if not data:
            return
        for i, (entry,) in enumerate(struct.iter_unpack("=Q", data)):
            if entry >> 62:
                yield start + i * PAGE_BYTES, start + (i + 1) * PAGE_BYTES
        start += len(data) // 8 * PAGE_BYTES


def present_by_scan(pagemap, start, end):
    found = (ctypes.c_uint64 * (3 * RANGES))()
    while start < end:
        argument = bytearray(struct.pack("=12Q", 96, 0, start, end, 0, ctypes.addressof(found), RANGES, 0, 0, 0, PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                                         PAGE_IS_PRESENT))
        count = fcntl.ioctl(pagemap, PAGEMAP_SCAN, argument)
        for i in range(count):
            yield found[3 * i], found[3 * i + 1]
        walked = struct.unpack_from("=Q", argument, 32)[0]
        if walked <= start:
            return
        start = walked


def chunks(pid):
    with open(f"/proc/{pid}/maps") as f:
        areas = [tuple(int(x, 16) for x in line.split()[0].split("-")) for line in f if line.split()[1][0] == "r"]
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    try:
        for area in areas:
            for start, end in present(pagemap, *area):
                while start < end:
                    try:
                        data = os.pread(memory, min(CHUNK_BYTES, end - start), start)
                    except OSError:  # memfd_secret: nobody reads that
                        data = b""
                    yield data
                    start += len(data) or PAGE_BYTES
    finally:
        os.close(memory)
        os.close(pagemap)


def holds(data, needles):
    return any(needle in data for needle in needles)


def search_processes(needles):
    """(["process PID (NAME)"] of all that hold one of them, the pids of all that were searched). This process, which knows them, is
    left out; those that even root may not look into (of another namespace, say) are not among the second."""
    found, searched = [], set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/comm") as f:
                name = f.read().strip()
            if any(holds(data, needles) for data in chunks(pid)):
                found.append(f"process {pid} ({name})")
            searched.add(int(pid))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found, searched


def search_files(folder, needles):
    """["file PATH"] likewise, of regular files."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            whole = os.path.join(path, name)
            if os.path.isfile(whole):
                with open(whole, "rb") as f:
                    if holds(f.read(), needles):
                        found.append(f"file {whole}")
    return found
