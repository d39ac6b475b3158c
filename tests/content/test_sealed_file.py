"""A file's pieces: each in its place, whole, and the last one last (U-05)."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from securechat.content.errors import ContentError
from securechat.content.mimi import ExternalPart, MimiContent, decode, encode
from securechat.content.sealed_file import (
    MAX_SIZE,
    PIECE,
    SEALED_PIECE,
    PieceCipher,
    SealedFile,
    file_part,
    piece_count,
    read_file_part,
    sealed_size,
)
from securechat.protocol.limits import MAX_CHUNK, MAX_FILE

KEY, PREFIX = bytes(range(32)), b"\x07" * 7
FILE = SealedFile(
    id=b"i" * 32,
    key=KEY,
    prefix=PREFIX,
    size=5,
    digest=b"h" * 32,
    name="a.txt",
    content_type="text/plain",
    description="see this",
    expires=1_700_000_000,
)


def sealed(content: bytes) -> list[bytes]:
    cipher = PieceCipher(KEY, PREFIX, len(content))
    return [cipher.seal(n, content[n * PIECE : (n + 1) * PIECE]) for n in range(piece_count(len(content)))]


@given(st.integers(0, 3), st.integers(-2, 2))
def test_pieces_opened_in_order_are_the_content(full: int, more: int) -> None:
    content = b"x" * max(0, full * PIECE + more)
    pieces = sealed(content)
    cipher = PieceCipher(KEY, PREFIX, len(content))
    assert b"".join(cipher.open(n, piece) for n, piece in enumerate(pieces)) == content
    assert sum(map(len, pieces)) == sealed_size(len(content))
    assert {len(piece) for piece in pieces[:-1]} <= {SEALED_PIECE}


def test_the_sizes_are_those_of_the_wire() -> None:
    assert SEALED_PIECE == MAX_CHUNK
    assert sealed_size(MAX_SIZE) == MAX_FILE


def test_a_piece_is_what_the_page_says() -> None:
    """Held to the cipher itself, so that another implementation can be made from the words."""
    content = b"a" * PIECE + b"b"
    first, last = sealed(content)
    cipher = ChaCha20Poly1305(KEY)
    assert first == cipher.encrypt(PREFIX + b"\0\0\0\0" + b"\0", b"a" * PIECE, None)
    assert last == cipher.encrypt(PREFIX + b"\0\0\0\1" + b"\1", b"b", None)


def test_no_piece_is_moved_left_out_or_added() -> None:
    first, second, last = sealed(b"a" * (2 * PIECE + 5))
    cipher = PieceCipher(KEY, PREFIX, 2 * PIECE + 5)
    for number, piece in ((0, second), (1, first), (1, last), (2, second), (3, last)):
        with pytest.raises(ContentError):
            cipher.open(number, piece)


def test_a_file_cannot_be_cut_off_between_two_pieces() -> None:
    """Whoever says it is shorter finds that its last piece was not sealed as one."""
    first, _ = sealed(b"a" * (2 * PIECE))
    with pytest.raises(ContentError):
        PieceCipher(KEY, PREFIX, PIECE).open(0, first)
    first, _ = sealed(b"a" * (PIECE + 1))
    with pytest.raises(ContentError):
        PieceCipher(KEY, PREFIX, 3 * PIECE).open(1, first)


@given(st.binary(min_size=1, max_size=40), st.integers(0))
def test_a_flipped_bit_is_seen(content: bytes, where: int) -> None:
    (piece,) = sealed(content)
    bit = where % (8 * len(piece))
    flipped = bytearray(piece)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ContentError):
        PieceCipher(KEY, PREFIX, len(content)).open(0, bytes(flipped))


def test_what_is_no_piece_of_the_file_is_not_sealed() -> None:
    cipher = PieceCipher(KEY, PREFIX, PIECE + 1)
    for number, content in ((0, b"short"), (1, b"xx"), (2, b""), (-1, b"")):
        with pytest.raises(ContentError):
            cipher.seal(number, content)


def test_what_a_message_tells_of_a_file_is_read_again() -> None:
    message = MimiContent(salt=b"s" * 16, part=file_part(FILE))
    part = decode(encode(message)).part
    assert isinstance(part, ExternalPart)
    assert read_file_part(part) == FILE


@pytest.mark.parametrize(
    "changed",
    [
        {"enc_alg": 1},
        {"enc_alg": 0},
        {"hash_alg": 2},
        {"aad": b"more"},
        {"url": "https://example.com/x"},
        {"url": "securechat:file/" + "69" * 31},
        {"url": "securechat:file/" + "6A" * 32},
        {"url": "securechat:file/" + "zz" * 32},
        {"url": "file:///etc/passwd"},
        {"content_hash": b"h" * 31},
        {"key": b"k" * 31},
        {"nonce": b"n" * 12},
        {"size": MAX_SIZE + 1},
    ],
    ids=str,
)
def test_a_part_that_is_not_ours_to_open_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ContentError):
        read_file_part(replace(file_part(FILE), **changed))


def test_keys_are_not_told_by_repr() -> None:
    assert repr(KEY)[2:-1] not in repr(FILE)
    assert "key" not in repr(FILE)
