"""The two trees written straight from their definitions, to check the fast ones by.

No stored nodes, no index arithmetic: each question is answered from the whole list, or map, anew.
"""

import hashlib
from functools import cache

from securechat.mls.codec import encode
from securechat.transparency.entries import LabelState


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# -- RFC 9162 section 2.1, with its names --------------------------------------


def power_below(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@cache
def mth(d: tuple[bytes, ...]) -> bytes:
    """2.1.1; the list holds entries, not their hashes."""
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return sha256(b"\x00" + d[0])
    k = power_below(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: tuple[bytes, ...]) -> list[bytes]:
    """2.1.3.1."""
    if len(d) == 1:
        return []
    k = power_below(len(d))
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: tuple[bytes, ...]) -> list[bytes]:
    """2.1.4.1."""
    return subproof(m, d, is_whole=True)


def subproof(m: int, d: tuple[bytes, ...], *, is_whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if is_whole else [mth(d)]
    k = power_below(len(d))
    if m <= k:
        return [*subproof(m, d[:k], is_whole=is_whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], is_whole=False), mth(d[:k])]


# -- the prefix tree -------------------------------------------------------------


@cache
def bits(label: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in label)


def prefix_root(states: dict[bytes, LabelState], begin: str = "") -> bytes:
    """The value of the node for all labels whose bits begin so."""
    here = {label: state for label, state in states.items() if bits(label).startswith(begin)}
    if not here:
        return bytes(32)
    if len(here) == 1:
        ((label, state),) = here.items()
        return sha256(b"\x02" + label + encode(state))
    return sha256(b"\x03" + prefix_root(here, begin + "0") + prefix_root(here, begin + "1"))
