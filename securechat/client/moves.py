"""Files on their way, each with a number by which a person can stop it."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from securechat.client.errors import FileCancelled, NoTransfer
from securechat.client.events import FileMoved, Transfer
from securechat.client.transfers import Sending

TOLD_EVERY: Final = 0.1
"""Seconds between two words on how far a file is."""


class Move:
    """One file on its way; the task that moves it ends it."""

    def __init__(self, about: Transfer, outcome: "asyncio.Future[Any]", moves: "Moves") -> None:
        self.about = about
        self.outcome = outcome
        """What whoever waits for it gets."""
        self.stored: Sending | None = None
        """Of a file of ours: what a restart would go on with."""
        self.task: asyncio.Task[None] | None = None
        self._moves = moves
        self._told = float("-inf")

    def progress(self, done: int, total: int) -> None:
        """Tell how far it is, now and then and at its end."""
        about = self.about = structs.replace(self.about, done=done, total=total)
        now = asyncio.get_running_loop().time()
        if done == total or now - self._told >= TOLD_EVERY:
            self._told = now
            self._moves.tell(_moved(about))

    def end(self) -> None:
        """It moves no more, whatever the reason; who saw it on its way is told if not all of it is there."""
        about, told = self.about, self._told > float("-inf")
        if self._moves.forget(about.number) and told and about.done < about.total:
            self._moves.tell(_moved(about, stopped=True))

    async def cancel(self) -> None:
        """Stop it; returns when nothing of it goes on."""
        if not self.outcome.done():
            self.outcome.set_exception(FileCancelled(self.about.name))
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        self.end()  # it may not have begun


class Moves:
    """All files on their way. Numbers are those of this process, and are given once."""

    def __init__(self, tell: Callable[[FileMoved], None]) -> None:
        self.tell = tell
        self._numbers = itertools.count(1)
        self._moving: dict[int, Move] = {}

    def begin(self, name: str, conversation: str, outcome: "asyncio.Future[Any]", *, sending: bool) -> Move:
        """Note that a file is on its way; its name is safe to show."""
        about = Transfer(number=next(self._numbers), name=name, conversation=conversation, sending=sending)
        move = self._moving[about.number] = Move(about, outcome, self)
        return move

    def forget(self, number: int) -> bool:
        """Note that a file is not on its way any more; whether that is news."""
        return self._moving.pop(number, None) is not None

    def all(self) -> list[Transfer]:
        """Return what is on its way, in the order it was begun."""
        return [move.about for move in self._moving.values()]

    def find(self, number: int) -> Move:
        """Return the one of this number.

        :raises NoTransfer: it is there by now, or there never was one
        """
        move = self._moving.get(number)
        if move is None:
            raise NoTransfer(number)
        return move


def _moved(about: Transfer, *, stopped: bool = False) -> FileMoved:
    return FileMoved(
        about.name, about.done, about.total, sending=about.sending, number=about.number, stopped=stopped
    )
