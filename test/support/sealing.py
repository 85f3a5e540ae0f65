"""Sealing as src/vault/seal.c describes it, written from that description with python3-cryptography: neither side knows the other."""
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def raw(public_key):
    return public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def derive(secret, ephemeral, recipient):
    bits = HKDF(algorithm=hashes.SHA256(), length=44, salt=ephemeral + recipient, info=b"outboard seal v1").derive(secret)
    return bits[:32], bits[32:]


def seal(recipient, plain):
    private = x25519.X25519PrivateKey.generate()
    header = b"\1\0\0\0" + raw(private.public_key())
    key, nonce = derive(private.exchange(x25519.X25519PublicKey.from_public_bytes(recipient)), header[4:], recipient)
    return header + AESGCM(key).encrypt(nonce, plain, header)


class Recipient:
    def __init__(self):
        self.private = x25519.X25519PrivateKey.generate()
        self.public = raw(self.private.public_key())

    def open(self, sealed):
        header = sealed[:36]
        assert header[:4] == b"\1\0\0\0"
        key, nonce = derive(self.private.exchange(x25519.X25519PublicKey.from_public_bytes(header[4:])), header[4:], self.public)
        return AESGCM(key).decrypt(nonce, sealed[36:], header)
