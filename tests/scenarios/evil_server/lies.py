"""Lies about a log, a login and a line, each as what one person hears of it; the others hear the truth."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from securechat.protocol.messages import (
    CountKeyPackages,
    Delivered,
    Done,
    Entries,
    Entry,
    Fetch,
    FetchInbox,
    Gap,
    Goodbye,
    GroupStatus,
    InboxEntries,
    LoggedIn,
    LogIn,
    Refused,
    Sync,
    Synced,
)
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now

VICTIM: Final = "bob"

LATER: Final = 4_000_000_000
"""Seconds since 1970: in the year 2096."""

Lie = Callable[[Stage, str], None]
"""Begins a lie, to somebody."""

Told = Callable[[Sequence[Entry | Gap]], list[Entry | Gap]]
"""What becomes of the entries of a log."""


def in_the_log(told: Told) -> Lie:
    """Tell a log otherwise, pushed and asked for."""

    def rumour(push: Any) -> list[Any]:
        if not isinstance(push, Delivered):
            return [push]
        entries = [each for each in told(push.entries) if isinstance(each, Entry)]
        return [Delivered(push.group, entries)] if entries else []

    def retort(_: Fetch, answer: Any) -> Any:
        return replace(answer, entries=told(answer.entries)) if isinstance(answer, Entries) else answer

    def lie(stage: Stage, victim: str) -> None:
        stage.liar(victim).rumour(rumour)
        stage.liar(victim).retort(Fetch, retort)

    return lie


def of_messages(**changes: Any) -> Lie:
    """Change fields of every message; a function makes a value from the entry."""

    def told(entries: Sequence[Entry | Gap]) -> list[Entry | Gap]:
        return [_changed(each, changes) if _is(each, "message") else each for each in entries]

    return in_the_log(told)


def withholding(kind: str) -> Lie:
    """Keep the first entry of a kind back for ever; its place stays empty."""
    places: set[int] = set()

    def told(entries: Sequence[Entry | Gap]) -> list[Entry | Gap]:
        for each in entries:
            if isinstance(each, Entry) and each.kind == kind and not places:
                places.add(each.sequence)
        return [each for each in entries if not isinstance(each, Entry) or each.sequence not in places]

    return in_the_log(told)


def closing_up(stage: Stage, victim: str) -> None:
    """Keep the first message back and move all others up, so that no place is empty."""
    missing: list[int] = []

    def told(entries: Sequence[Entry | Gap]) -> list[Entry | Gap]:
        if not missing:
            missing.extend([e.sequence for e in entries if isinstance(e, Entry) and e.kind == "message"][:1])
        kept = [each for each in entries if not isinstance(each, Entry) or each.sequence not in missing]
        return [_moved(each, -sum(place < _place(each) for place in missing)) for each in kept]

    in_the_log(told)(stage, victim)
    stage.liar(victim).retort(
        Fetch, lambda _, answer: replace(answer, head=answer.head - len(missing)) if missing else answer
    )


def exchanging(stage: Stage, victim: str) -> None:
    """Hold a message back until there is another, and tell each in the place of the other."""
    held: list[Entry] = []

    def rumour(push: Any) -> list[Any]:
        if not isinstance(push, Delivered) or push.entries[0].kind != "message" or len(held) > 1:
            return [push]
        held.append(push.entries[0])
        if len(held) == 1:
            return []
        first, second = held
        swapped = [
            replace(second, sequence=first.sequence),
            replace(first, sequence=second.sequence),
        ]
        return [Delivered(push.group, swapped)]

    stage.liar(victim).rumour(rumour)


def repeating(stage: Stage, victim: str) -> None:
    """Tell the first message once more, as if it had been said again."""
    said: list[Entry] = []

    def told(entries: Sequence[Entry | Gap]) -> list[Entry | Gap]:
        heard: list[Entry | Gap] = []
        for each in entries:
            heard.append(_moved(each, len(said)))
            if _is(each, "message") and isinstance(each, Entry) and not said:
                said.append(each)
                heard.append(_moved(each, 1))
        return heard

    in_the_log(told)(stage, victim)
    stage.liar(victim).retort(
        Fetch, lambda _, answer: replace(answer, head=answer.head + len(said)) if said else answer
    )


def said_to_have_expired(hashes: Callable[[Entry], bytes]) -> Lie:
    """Withhold what was just said, as if it had been kept too long."""

    def lie(stage: Stage, victim: str) -> None:
        liar = stage.liar(victim)
        gone: set[int] = set()

        def retort(_: Fetch, answer: Any) -> Any:
            if not isinstance(answer, Entries):
                return answer
            told: list[Entry | Gap] = []
            for each in answer.entries:
                if _is(each, "message") and isinstance(each, Entry) and not gone - {each.sequence}:
                    gone.add(each.sequence)
                    told.append(Gap(each.sequence, each.sequence, [hashes(each)]))
                else:
                    told.append(each)
            return replace(answer, entries=told)

        def rumour(push: Any) -> list[Any]:
            first = not gone and isinstance(push, Delivered)
            return [] if first and push.entries[0].kind == "message" else [push]

        liar.retort(Fetch, retort)
        liar.rumour(rumour)

    return lie


def at_login(**changes: Any) -> Lie:
    """Say something else of the client when it logs in."""

    def retort(_: LogIn, answer: Any) -> Any:
        return _changed(answer, changes) if isinstance(answer, LoggedIn) else answer

    return _on_a_new_connection(LogIn, retort)


def of_where_it_stands(told: Callable[[list[GroupStatus]], list[GroupStatus]]) -> Lie:
    def retort(_: Sync, answer: Any) -> Any:
        return Synced(told(answer.groups), answer.more) if isinstance(answer, Synced) else answer

    return _on_a_new_connection(Sync, retort)


def restored_at_every_login(stage: Stage, victim: str) -> None:
    count = [1]

    def retort(_: LogIn, answer: Any) -> Any:
        count[0] += 1
        return replace(answer, incarnation=count[0]) if isinstance(answer, LoggedIn) else answer

    stage.liar(victim).retort(LogIn, retort)
    for second in range(0, 40, 4):
        stage.world.loop.call_later(second, stage.liar(victim).cut)


def with_invitations_to_come(stage: Stage, victim: str) -> None:
    """Say that the inbox goes on far beyond its end."""

    def retort(_: FetchInbox, answer: Any) -> Any:
        return InboxEntries(answer.entries, 1 << 62) if isinstance(answer, InboxEntries) else answer

    _on_a_new_connection(FetchInbox, retort)(stage, victim)


def never_answering(question: Any) -> Lie:
    """Leave questions of a kind without an answer."""
    return _on_a_new_connection(question, lambda *_: None)


def never_with_time(question: Any) -> Lie:
    """Have no time for questions of a kind, whenever they are asked."""
    return _on_a_new_connection(question, lambda *_: Refused(0, "busy", "", retry_after=1))


def of_another_kind(stage: Stage, victim: str) -> None:
    _on_a_new_connection(CountKeyPackages, lambda *_: Done())(stage, victim)


def unasked(stage: Stage, victim: str) -> None:
    stage.liar(victim).say(Refused(999, "forbidden", "you may not"))


def unintelligible(stage: Stage, victim: str) -> None:
    stage.liar(victim).say_bytes(b"\0\0\0\x05hello")


def goodbye(code: str, text: str) -> Lie:
    return lambda stage, victim: stage.liar(victim).say(Goodbye(code, text))


def of_other_bytes(stage: Stage, victim: str) -> None:
    """Name a blob in the place of a message, and give nothing under that name."""
    of_messages(body=b"", blob=bytes(32), size=5)(stage, victim)


def flipped(entry: Entry) -> bytes:
    return entry.body[:-1] + bytes([entry.body[-1] ^ 1])


def long_ago(_: Entry) -> int:
    return now() - 400 * 86_400


def _on_a_new_connection(question: Any, retort: Callable[[Any, Any], Any]) -> Lie:
    def lie(stage: Stage, victim: str) -> None:
        stage.liar(victim).retort(question, retort)
        stage.liar(victim).cut()

    return lie


def _changed(value: Any, changes: dict[str, Any]) -> Any:
    made = {name: change(value) if callable(change) else change for name, change in changes.items()}
    return replace(value, **made)


def _is(entry: Entry | Gap, kind: str) -> bool:
    return isinstance(entry, Entry) and entry.kind == kind


def _place(entry: Entry | Gap) -> int:
    return entry.sequence if isinstance(entry, Entry) else entry.first


def _moved(entry: Entry | Gap, by: int) -> Entry | Gap:
    if isinstance(entry, Entry):
        return replace(entry, sequence=entry.sequence + by)
    return replace(entry, first=entry.first + by, last=entry.last + by)
