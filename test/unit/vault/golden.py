#!/usr/bin/python3
"""Makes golden.h: the vault's formats as other implementations write them (python3-cryptography, Python's hmac, libsodium's
Argon2id), so that the tests do not only ask our code what it thinks of itself. Deterministic; run it only for a new version of
a format:  test/unit/vault/golden.py > test/unit/vault/golden.h"""

import ctypes
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RAW = serialization.Encoding.Raw


def octets(label, size):
    return hashlib.shake_256(label.encode()).digest(size)


def hkdf(secret, salt, info, size):
    key = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < size:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:size]


def argon2id(passphrase, salt, memory_kib, passes):
    sodium = ctypes.CDLL("libsodium.so.23")
    assert sodium.sodium_init() >= 0
    out = ctypes.create_string_buffer(32)
    rc = sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), passphrase, ctypes.c_ulonglong(len(passphrase)), salt,
                              ctypes.c_ulonglong(passes), ctypes.c_size_t(memory_kib * 1024), 2)
    assert rc == 0
    return out.raw


def wrap(key, label, names, kind, plain, nonce):
    prefix = bytes([1, kind, 0, 0])
    bound = label.ljust(16, b"\0") + names + prefix
    return prefix + nonce + AESGCM(key).encrypt(nonce, plain, bound)


def seal(recipient, plain, ephemeral):
    public = ephemeral.public_key().public_bytes(RAW, serialization.PublicFormat.Raw)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    keys = hkdf(shared, public + recipient, b"outboard seal v1", 44)
    header = bytes([1, 0, 0, 0]) + public
    return header + AESGCM(keys[:32]).encrypt(keys[32:], plain, header)


def header(passphrase, salt, memory_kib, passes):
    root = argon2id(passphrase, salt, memory_kib, passes)
    start = b"OBVROOT\0" + struct.pack("<4I", 1, memory_kib, passes, 1) + salt + hkdf(root, salt, b"outboard root check v1", 32)
    return root, start + hashlib.sha256(start).digest()


def emit(name, data):
    rows = [", ".join("0x%02x" % b for b in data[i:i + 16]) for i in range(0, len(data), 16)]
    print("static const uint8_t golden_%s[%d] = {\n\t%s};" % (name, len(data), ",\n\t".join(rows)))


def main():
    root = octets("root", 32)
    kek, dek = octets("kek", 32), octets("dek", 64)
    kek_id, volume_id = octets("kek id", 16), octets("volume id", 16)
    kek_name, volume_name = kek_id + struct.pack("<I", 3), volume_id + struct.pack("<I", 2)
    private = octets("recipient", 32)
    recipient = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(RAW, serialization.PublicFormat.Raw)
    ephemeral = X25519PrivateKey.from_private_bytes(octets("ephemeral", 32))
    passphrase = b"correct horse battery staple"
    header_root, header_bytes = header(passphrase, octets("salt", 16), 1024, 2)

    print("/* Made by golden.py with other implementations than ours. */")
    print("#ifndef OUTBOARD_TEST_VAULT_GOLDEN_H\n#define OUTBOARD_TEST_VAULT_GOLDEN_H\n\n#include <stdint.h>\n")
    print("enum { GOLDEN_KEK_VERSION = 3, GOLDEN_DEK_VERSION = 2 };")
    emit("root", root)
    emit("wrapping_key", hkdf(root, b"", b"outboard root wrap v1", 32))
    emit("kek_id", kek_id)
    emit("volume_id", volume_id)
    emit("kek", kek)
    emit("dek", dek)
    emit("wrapped_kek", wrap(hkdf(root, b"", b"outboard root wrap v1", 32), b"outboard kek v1", kek_name, 1, kek,
                             octets("nonce kek", 12)))
    emit("wrapped_dek", wrap(kek, b"outboard dek v1", volume_name + kek_name, 2, dek, octets("nonce dek", 12)))
    emit("recipient_private", private)
    emit("recipient", recipient)
    emit("sealed_dek", seal(recipient, dek, ephemeral))
    print('static const char golden_passphrase[] = "%s";' % passphrase.decode())
    emit("header", header_bytes)
    emit("header_wrapping_key", hkdf(header_root, b"", b"outboard root wrap v1", 32))
    print("\n#endif")


main()
