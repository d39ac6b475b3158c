"""Finds what must not be told: secrets of the objects that live here, and how they could be spelled."""

import base64
import gc
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

SECRET = re.compile(
    r"secret|password|passphrase|private|seed|(vault|store|wrapping|sender_data|membership)_key$|token$|login_hash"
)
"""Names of fields whose bytes or text are for nobody, if they are long enough to be one."""

PUBLIC = re.compile(r"public|digest|sealed|wrapped")
"""Names that only sound like it."""

AS_FEW = 12
"""Instances of one class whose repr is looked at."""


def ours() -> list[Any]:
    """Instances of classes of securechat, also those that the collector does not track itself."""
    found: dict[int, Any] = {}
    for tracked in gc.get_objects():
        for each in (tracked, *gc.get_referents(tracked)):
            if str(type(each).__module__).startswith("securechat") and not isinstance(each, type):
                found[id(each)] = each
    return list(found.values())


def fields(each: Any) -> Iterator[tuple[str, Any]]:
    """The attributes that an instance holds itself."""
    yield from getattr(each, "__dict__", {}).items()
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(each, name):
                yield name, getattr(each, name)
    for name in getattr(each, "__struct_fields__", ()):
        yield name, getattr(each, name)


def secrets_in(instances: Iterable[Any]) -> set[bytes]:
    """Private keys, and what lies in fields that are called secret."""
    found: set[bytes] = set()
    for each in instances:
        for name, value in fields(each):
            if isinstance(value, Ed25519PrivateKey | X25519PrivateKey):
                found.add(value.private_bytes_raw())
            elif SECRET.search(name) and not PUBLIC.search(name):
                if isinstance(value, bytes | bytearray) and len(value) >= 16:
                    found.add(bytes(value))
                elif isinstance(value, str) and len(value) >= 10:
                    found.add(value.encode())
    return {value for value in found if len(set(value)) > 4}


def spellings(secret: bytes) -> set[str]:
    """How a secret would look in a text, long enough a piece of it."""
    piece = secret[:24]
    spelled = {repr(piece)[2:-1], piece.hex(), base64.b64encode(piece).decode()[:28], str(list(piece))[1:-1]}
    if piece.isascii():
        spelled.add(piece.decode())
    return spelled


def told(text: str, secrets: Iterable[bytes]) -> list[str]:
    """The spellings of secrets that a text contains."""
    return sorted({spelled for secret in secrets for spelled in spellings(secret) if spelled in text})


def reprs_by_class(instances: Iterable[Any]) -> dict[str, str]:
    """What a few instances of each class say of themselves."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for each in instances:
        name = f"{type(each).__module__}.{type(each).__qualname__}"
        if len(said[name]) < AS_FEW:
            said[name].append(repr(each))
    return {name: "\n".join(texts) for name, texts in said.items()}
