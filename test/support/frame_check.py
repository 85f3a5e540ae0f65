"""Is a frame whole? Lengths and checksums of every layer, of the frames in tunnels too, by a second hand: not scapy's, not ours."""
import struct

TUNNELS = {4789: 8, 6081: 8}  # UDP port: bytes of the shim, without Geneve's options
NEEDS_CSUM = 1


class Wrong(AssertionError):
    pass


def need(good, what, data):
    if not good:
        raise Wrong(f"{what}: {data.hex()}")


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def check(frame, flags=0, gso=0):
    """AssertionError with what is wrong. A frame that leaves with offloads (`flags` as in base/packet.h) is judged as far as it says
    it is whole."""
    ethertype, = struct.unpack_from("!H", frame, 12)
    if ethertype == 0x0800:
        check_ipv4(frame[14:], flags, gso)
    elif ethertype == 0x86dd:
        check_ipv6(frame[14:], flags, gso)
    else:
        need(ethertype == 0x0806, "ethertype", frame)


def check_ipv4(ip, flags, gso):
    header = (ip[0] & 15) * 4
    total, = struct.unpack_from("!H", ip, 2)
    fragment, = struct.unpack_from("!H", ip, 6)
    need(ip[0] >> 4 == 4 and header >= 20, "IPv4 header", ip)
    need(total <= len(ip) and (total == len(ip) or len(ip) <= 46), "IPv4 length", ip)
    need(ones_sum(ip[:header]) == 0xffff, "IPv4 checksum", ip)
    if fragment & 0x3fff == 0:
        check_upper(ip[9], ip[header:total], ip[12:20], flags, gso)


def check_ipv6(ip, flags, gso):
    length, protocol = struct.unpack_from("!HB", ip, 4)
    need(ip[0] >> 4 == 6 and length + 40 <= len(ip) and (length + 40 == len(ip) or len(ip) <= 46), "IPv6 length", ip)
    at, end = 40, 40 + length
    while protocol in (0, 43, 60):
        protocol, at = ip[at], at + (ip[at + 1] + 1) * 8
    if protocol == 44:
        return
    check_upper(protocol, ip[at:end], ip[8:40], flags, gso)


def check_upper(protocol, upper, addresses, flags, gso):
    pseudo = addresses + struct.pack("!IBBBB", len(upper), 0, 0, 0, protocol)
    if protocol == 1:
        need(ones_sum(upper) == 0xffff, "ICMP checksum", upper)
        return
    if protocol not in (6, 17, 58):
        return
    if protocol == 17:
        _, port, length, checksum = struct.unpack_from("!4H", upper)
        need(length == len(upper), "UDP length", upper)
        if port in TUNNELS and checksum == 0:
            options = (upper[8] & 0x3f) * 4 if port == 6081 else 0
            check(upper[8 + TUNNELS[port] + options:], flags, gso)
            return
        if checksum == 0 and len(addresses) == 8:
            return
    if flags & NEEDS_CSUM or gso:
        at = 16 if protocol == 6 else 6
        need(struct.unpack_from("!H", upper, at)[0] == ones_sum(pseudo), "sum of the pseudo header", upper)
    else:
        need(ones_sum(pseudo + upper) == 0xffff, f"checksum of protocol {protocol}", upper)
