"""A peer that asks for new keys again and again: what Python's ``ssl`` never sends (RFC 8446, section 4.6.3).

The handshake is OpenSSL's; its key log says the secret, and from there on records are made by hand.
"""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.server.peer import client_context

KEY_UPDATE: Final = b"\x18\x00\x00\x01"
"""A KeyUpdate message up to its last byte, which says whether the other side is to answer with one."""

HANDSHAKE: Final = b"\x16"
"""The type of the record that it travels in."""

SUITES: Final[dict[str, tuple[type[AESGCM | ChaCha20Poly1305], int, hashes.HashAlgorithm]]] = {
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, hashes.SHA256()),
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, hashes.SHA384()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, hashes.SHA256()),
}


async def shaken_hands(
    port: int, log: Path, *, requested: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Iterator[bytes]]:
    """A bare socket whose TLS handshake is finished, and the KeyUpdate records that may follow on it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    context = client_context()
    context.keylog_filename = str(log)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65_536))
    writer.write(outgoing.read())
    await writer.drain()
    suite = tls.cipher()
    assert suite is not None
    return reader, writer, key_updates(suite[0], traffic_secret(log), requested=requested)


def traffic_secret(log: Path) -> bytes:
    """Of what a client sends after its handshake, as NSS wrote such logs first."""
    lines = [line.split() for line in log.read_text().splitlines()]
    (secret,) = [line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"]
    return bytes.fromhex(secret)


def key_updates(suite: str, secret: bytes, *, requested: bool) -> Iterator[bytes]:
    """The records, without end: each is sealed by the keys that the one before it announced."""
    cipher, key_bytes, digest = SUITES[suite]
    content = KEY_UPDATE + bytes([requested]) + HANDSHAKE
    header = b"\x17\x03\x03" + (len(content) + 16).to_bytes(2, "big")
    while True:
        key, nonce = expand(secret, b"key", key_bytes, digest), expand(secret, b"iv", 12, digest)
        yield header + cipher(key).encrypt(nonce, content, header)  # the first record of its keys: number 0
        secret = expand(secret, b"traffic upd", digest.digest_size, digest)


def expand(secret: bytes, label: bytes, length: int, digest: hashes.HashAlgorithm) -> bytes:
    """HKDF-Expand-Label with no context (RFC 8446, section 7.1)."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\x00"
    return HKDFExpand(digest, length, info).derive(secret)
