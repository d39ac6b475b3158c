"""Argon2id over the public half of the login key, in a small pool (rules.md B, A-01, O-04).

What is hashed has been stretched on the client already; this keeps a copy of the database from
being enough to log in. Each hash takes 19 MiB while it runs, so few run at once and few wait.
"""

import asyncio
import functools
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from securechat.server.errors import Refusal

PASSES: Final = 2
MEMORY_KIB: Final = 19 * 1024
LANES: Final = 1
SALT_BYTES: Final = 16
MAX_WAITING: Final = 64
"""Logins that wait for a thread; with 25 ms each the last waits a second or two."""

T = TypeVar("T")


class LoginHasher:
    """Hashes and verifies in threads; refuses with ``busy`` what would wait too long."""

    def __init__(self, *, passes: int = PASSES, memory_kib: int = MEMORY_KIB) -> None:
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=LANES, salt_len=SALT_BYTES, type=Type.ID
        )
        self._pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "securechat-argon2")
        self._waiting = 0
        self._dummy = self._hasher.hash(secrets.token_bytes(32))
        self.verified = 0
        """How many verifications ran, for unknown users too (A-05)."""

    @property
    def waiting(self) -> int:
        """How many are hashed or wait for it."""
        return self._waiting

    async def hash(self, login_key: bytes) -> str:
        return await self._run(functools.partial(self._hasher.hash, login_key))

    async def verify(self, login_hash: str | None, login_key: bytes) -> bool:
        """Whether the key is the hashed one; without a hash the same work is done in vain."""
        return await self._run(functools.partial(self._verify, login_hash, login_key))

    def is_weaker(self, login_hash: str) -> bool:
        """Whether a hash was made at a lower cost than is asked now, and nothing in it at a higher (A-02)."""
        made = _costs(extract_parameters(login_hash))
        hasher = self._hasher
        asked = (
            hasher.time_cost,
            hasher.memory_cost,
            hasher.parallelism,
            hasher.salt_len,
            hasher.hash_len,
        )
        return made != asked and all(less <= more for less, more in zip(made, asked, strict=True))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _verify(self, login_hash: str | None, login_key: bytes) -> bool:
        self.verified += 1
        try:
            self._hasher.verify(self._dummy if login_hash is None else login_hash, login_key)
        except (VerificationError, InvalidHashError):
            return False
        return login_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Refusal("busy", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def _costs(made: Parameters) -> tuple[int, ...]:
    return made.time_cost, made.memory_cost, made.parallelism, made.salt_len, made.hash_len
