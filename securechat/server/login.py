"""What may be asked before a login, and how a stranger is told from somebody (rules.md B).

The rates come first, before anything is hashed, verified or looked up: by the address, which is all
that is known of a stranger, and for passwords by the name that is asked for, known here or not. What all
strangers share comes after what is cheap to check, or one of them could use it up with rubbish.
"""

from collections.abc import Hashable
from functools import partial
from typing import Final

from securechat.protocol.messages import (
    LogIn,
    LogInForRecovery,
    LogInWithPassword,
    PasswordParameters,
    PasswordSalt,
    Register,
    RequestBody,
)
from securechat.server.accounts import Accounts, Challenge
from securechat.server.errors import Refusal
from securechat.server.rate_limit import RateLimiter, limited
from securechat.server.values import Caller

MAX_FAILED_LOGINS: Final = 5
"""On one connection; a person mistypes, a program gets a new connection and its cost."""

FAILURES: Final = frozenset({"wrong_credentials", "limited"})
"""Refusals that count as one of them."""


class Logins:
    """Answers strangers; for the loop's thread."""

    def __init__(self, accounts: Accounts, limiter: RateLimiter) -> None:
        self._accounts = accounts
        self._limiter = limiter

    async def answer(self, body: RequestBody, challenge: Challenge, source: str) -> PasswordSalt | Caller:
        """Say how a password is to be stretched, or who is here.

        :param source: the place on the net that asks
        :raises Refusal: ``limited``, ``wrong_credentials``, or why there is no new account
        """
        self._limiter.check("before_login", source)
        match body:
            case PasswordParameters():
                return await self._accounts.password_parameters(body)
            case Register():
                self._limiter.check("registrations_by_address", source)
                admit = partial(self._limiter.check, "registrations", "")
                return await self._accounts.register(body, challenge, admit)
            case LogIn():
                caller = await self._accounts.log_in(body, challenge)
                self._limiter.check("device_logins", caller.client)
                return caller
            case LogInWithPassword():
                return await self._by_password(body, challenge, source)
            case LogInForRecovery():
                self._take_all(("recoveries_by_address", source), ("recoveries", body.user))
                caller = await self._accounts.log_in_for_recovery(body, challenge)
                self._give_back(("recoveries", body.user))
                return caller
            case _:
                raise Refusal("not_logged_in")

    async def _by_password(self, body: LogInWithPassword, challenge: Challenge, source: str) -> Caller:
        of_name = (("passwords", body.user), ("passwords_by_day", body.user))
        rates = (("passwords_by_address", source), *of_name)
        self._take_all(*rates)
        try:
            caller = await self._accounts.log_in_with_password(body, challenge)
        except Refusal as refusal:
            if refusal.refused.code == "busy":  # nothing was tried
                self._give_back(*rates)
            raise
        # The address's stays taken: each is a hash, and three addresses with one right password between
        # them could keep the pool busy with many at a time (O-04).
        self._give_back(*of_name)
        return caller

    def _take_all(self, *rates: tuple[str, Hashable]) -> None:
        """Take of each, or of none; what is told is the longest wait."""
        wait = max(self._limiter.wait(rule, key) for rule, key in rates)
        if not wait:
            wait = max(self._limiter.take(rule, key) for rule, key in rates)
        if wait:
            raise limited(wait)

    def _give_back(self, *rates: tuple[str, Hashable]) -> None:
        for rule, key in rates:
            self._limiter.give_back(rule, key)
