"""The one place where ``securechat.mls`` gets randomness from.

Keys, nonces, reuse guards and HPKE's ephemeral keys are all drawn here, so that a test can
repeat a history bit by bit. (ECDSA draws its nonce inside OpenSSL; Ed25519 needs none.)
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

RandomSource = Callable[[int], bytes]

_source: ContextVar[RandomSource] = ContextVar("mls_randomness", default=secrets.token_bytes)


def random_bytes(length: int) -> bytes:
    """Return ``length`` fresh random bytes."""
    return _source.get()(length)


@contextmanager
def drawn_from(source: RandomSource) -> Iterator[None]:
    """Draw from ``source`` within this context: for tests that must repeat."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)
