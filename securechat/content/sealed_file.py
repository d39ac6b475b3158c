"""A file as it is sealed, and the part of a message that tells how to open it (docs/decisions/0011).

A file has a key of its own and is sealed in pieces (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár,
"Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"): ChaCha20-Poly1305 with the
nonce prefix (7) || number (4) || 1 for the last piece, else 0. So each piece is opened and checked by
itself, with little memory, and none can be left out, added, moved or cut off. The MIMI draft seals
external content in one go with an AEAD of IANA's list; its field for the AEAD has numbers for private
use (RFC 5116, section 6), and ours is one of them.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from securechat.content.errors import ContentError
from securechat.content.mimi import ATTACHMENT, ExternalPart

SEALED_PIECE: Final = 64 * 1024
"""Bytes of a sealed piece, the last apart: what a frame takes."""

TAG: Final = 16
PIECE: Final = SEALED_PIECE - TAG
MAX_SIZE: Final = 1024 * 1024 * 1024
"""Bytes of a file's content: 16,389 pieces."""

ENC_ALG: Final = 0x8C20
"""What the construction above is called in ``encAlg``."""

SHA_256: Final = 1
"""Of the Named Information Hash Algorithm Registry (RFC 6920)."""

KEY_SIZE: Final = 32
PREFIX_SIZE: Final = 7
ID_SIZE: Final = 32

URL: Final = "securechat:file/"
"""Followed by the id in hex: a file lies at the server both are logged in to, and nowhere else."""

MAX_NAME: Final = 255
MAX_DESCRIPTION: Final = 16 * 1024
"""Bytes."""


class SealedFile(Struct, frozen=True, kw_only=True):
    """What opens a file: where it lies, how large it is, its key, and the hash of what lies there."""

    id: bytes
    key: bytes
    prefix: bytes
    size: int
    """Of its content, in bytes."""
    digest: bytes
    """SHA-256 of all sealed pieces."""
    name: str
    content_type: str
    description: str = ""
    expires: int = 0
    """Seconds since 1970 when the server lets go of it; 0: not said."""

    def __repr__(self) -> str:
        return f"<SealedFile of {self.size} bytes>"


def piece_count(size: int) -> int:
    """Return how many pieces a content of this size has: an empty one has one."""
    return max(1, -(-size // PIECE))


def sealed_size(size: int) -> int:
    """Return the bytes of all sealed pieces."""
    return size + TAG * piece_count(size)


class PieceCipher:
    """Seals and opens the pieces of one file. A number is sealed for one content only, ever."""

    def __init__(self, key: bytes, prefix: bytes, size: int) -> None:
        """Prepare for a content of ``size`` bytes.

        :raises ContentError: no file has such a key, prefix or size
        """
        if len(key) != KEY_SIZE or len(prefix) != PREFIX_SIZE or not 0 <= size <= MAX_SIZE:
            raise ContentError("The file's key or size is none that a file has.")
        self._cipher = ChaCha20Poly1305(key)
        self._prefix = prefix
        self._size = size
        self._last = piece_count(size) - 1

    def length(self, number: int) -> int:
        """Return the bytes of content in a piece."""
        return self._size - PIECE * number if number == self._last else PIECE

    def seal(self, number: int, content: bytes) -> bytes:
        if not 0 <= number <= self._last or len(content) != self.length(number):
            raise ContentError("That is no piece of this file.")
        return self._cipher.encrypt(self._nonce(number), content, None)

    def open(self, number: int, sealed: bytes) -> bytes:
        """Return a piece's content; ContentError if it is not what was sealed there."""
        if not 0 <= number <= self._last or len(sealed) != self.length(number) + TAG:
            raise ContentError("A piece of the file has the wrong length.")
        try:
            return self._cipher.decrypt(self._nonce(number), sealed, None)
        except InvalidTag:
            raise ContentError("A piece of the file is not what was sealed.") from None

    def _nonce(self, number: int) -> bytes:
        return self._prefix + number.to_bytes(4, "big") + bytes([number == self._last])


def file_part(file: SealedFile) -> ExternalPart:
    return ExternalPart(
        content_type=file.content_type,
        url=URL + file.id.hex(),
        expires=file.expires,
        size=file.size,
        enc_alg=ENC_ALG,
        key=file.key,
        nonce=file.prefix,
        aad=b"",
        hash_alg=SHA_256,
        content_hash=file.digest,
        description=file.description,
        filename=file.name,
        disposition=ATTACHMENT,
    )


def read_file_part(part: ExternalPart) -> SealedFile:
    """Return what a part says of a file; ContentError if it is none that we seal like this.

    Its names are the sender's words: nothing of them is safe to show or to use as a path.
    """
    if part.enc_alg != ENC_ALG or part.hash_alg != SHA_256 or part.aad:
        raise ContentError("The file is sealed in a way that this version does not know.")
    try:
        file = bytes.fromhex(part.url.removeprefix(URL)) if part.url.startswith(URL) else b""
    except ValueError:
        file = b""
    if URL + file.hex() != part.url or len(file) != ID_SIZE or len(part.content_hash) != 32:
        raise ContentError("The file does not say where it lies or what it should be.")
    PieceCipher(part.key, part.nonce, part.size)
    return SealedFile(
        id=file,
        key=part.key,
        prefix=part.nonce,
        size=part.size,
        digest=part.content_hash,
        name=part.filename,
        content_type=part.content_type,
        description=part.description,
        expires=part.expires,
    )
