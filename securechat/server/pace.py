"""What the requests of somebody who has logged in cost, in tokens of which rates (O-05, O-07, O-09, M-14).

Mostly the answer is ``limited``: nothing is decided, the same bytes come again in a moment. A claim that
is too early is refused for good (``quota``): its wait is long, and requests are decided in order, so
everything the client wants after it would wait too. It asks again under another name.
"""

from collections.abc import Callable
from typing import Final

from securechat.protocol.limits import MAX_CHUNK
from securechat.protocol.messages import (
    ChangeAccount,
    ClaimKeyPackages,
    DeleteFile,
    GetAccount,
    GetFile,
    OfferStatements,
    PutBox,
    PutChunk,
    PutFile,
    Register,
    RequestBody,
    ResetAccount,
    SendMessage,
)
from securechat.server.errors import Refusal
from securechat.server.rate_limit import RateLimiter, whole_seconds
from securechat.server.values import Caller

GROWING: Final = frozenset(
    {Register, PutChunk, PutFile, ChangeAccount, OfferStatements, ResetAccount, PutBox}
)
"""Requests without a name that fill the disk."""

UNCOUNTED: Final = frozenset({ClaimKeyPackages})
"""Requests with a name that judge nothing and have rates of their own."""

LEAST_CHUNK: Final = 4 * 1024
"""Bytes a chunk counts at least: it is a row and a turn of the writer's, however small it is."""

BYTES_PER_TOKEN: Final = 1024
"""Of a request that reads: one of 256 KiB that is full of nothing takes milliseconds to decode."""

READ_SECONDS: Final = 0.001
"""Of a reader's thread, for a token: a page of a log takes half of it, a large tree more."""


def _of_chunk(size: int) -> float:
    return max(size, LEAST_CHUNK)


COSTS: Final[dict[type[RequestBody], tuple[str, Callable[[int], float]]]] = {
    ChangeAccount: ("account_changes", lambda _: 1),
    OfferStatements: ("account_changes", lambda _: 1),
    ResetAccount: ("account_changes", lambda _: 1),
    PutChunk: ("blob_bytes", _of_chunk),
    PutFile: ("file_uploads", _of_chunk),
    DeleteFile: ("file_uploads", _of_chunk),
    GetFile: ("file_downloads", lambda _: MAX_CHUNK),
}
"""What requests of some kinds are counted by, whoever asks, and how much by their size in bytes."""


def wait_for_change(limiter: RateLimiter, caller: Caller, body: RequestBody, size: int) -> float:
    """Take what a request with a name costs; return the seconds to wait, or 0.0. Done for every message."""
    if type(body) is SendMessage:
        return limiter.take("messages", caller.account) or limiter.take("bytes", caller.account, size)
    if type(body) not in UNCOUNTED:
        wait = limiter.wait("judging", caller.account) or limiter.take("handshakes", caller.account)
        if wait:
            return wait
    return limiter.take("bytes", caller.account, size)


def wait_for_reading(limiter: RateLimiter, caller: Caller, body: RequestBody, size: int) -> float:
    """The same for a request without a name."""
    if type(body) is PutBox:
        return limiter.take("handshakes", caller.account) or limiter.take("bytes", caller.account, size)
    if type(body) in COSTS:
        rule, cost = COSTS[type(body)]
        return limiter.take(rule, caller.account, cost(size))
    if isinstance(body, GetAccount) and body.user != caller.user:
        return limiter.take("look_ups", caller.account)
    return limiter.take("reading", caller.account, max(1.0, size / BYTES_PER_TOKEN))


def charge_reading(limiter: RateLimiter, caller: Caller, seconds: float) -> None:
    """Charge what a read has taken of a thread beyond what was paid for it."""
    if seconds > READ_SECONDS:
        limiter.charge("reading", caller.account, seconds / READ_SECONDS - 1)


def refuse_claim(limiter: RateLimiter, caller: Caller, body: ClaimKeyPackages) -> Refusal | None:
    """Why a claim is too early, if it is; whether there is such a user makes no difference."""
    if body.user == caller.user:
        return None
    wait = limiter.wait("look_ups", caller.account) or limiter.take("claims", (caller.account, body.user))
    if not wait:
        return None
    text = f"too many requests for keys of {body.user}"
    return Refusal("quota", text, retry_after=whole_seconds(wait))
