"""A-07, in short: many people at once are nobody else; and one who is taken for another is seen."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.protocol.messages import LoggedIn
from securechat.protocol.server_connection import Requested
from securechat.server.session import Session
from securechat.server.turns import Turns
from securechat.server.values import Caller
from tests.faults.command import Wrong
from tests.faults.identities import NAMES, meet


@settings(max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_a_07_however_people_come_speak_and_go_nobody_is_taken_for_another(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """``python -m tests.faults.identities --steps 100000`` is the long form."""
    done = asyncio.run(meet(tmp_path_factory.mktemp("square"), steps=400, seed=seed))
    assert {"logged in", "said", "acknowledged", "fetched", "fetched nothing"} <= done.keys()


def newest(monkeypatch: pytest.MonkeyPatch) -> Callable[[Session], Session]:
    """Find the session that logged in last, once the square is set up; until then each is itself."""
    sessions, become = list[Session](), Session._become

    def becomes(session: Session, caller: Caller) -> None:
        become(session, caller)
        sessions.append(session)

    monkeypatch.setattr(Session, "_become", becomes)
    return lambda session: sessions[-1] if len(sessions) > len(NAMES) else session


def entered_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose a connection is, is looked up again after a wait, and another has come meanwhile."""
    enter, become, entering = Session._enter, Session._become, list[Caller]()

    async def enters(session: Session, caller: Caller) -> LoggedIn:
        entering[:] = [caller]
        return await enter(session, caller)

    monkeypatch.setattr(Session, "_enter", enters)
    monkeypatch.setattr(Session, "_become", lambda session, _caller: become(session, entering[0]))


def another_acknowledges(monkeypatch: pytest.MonkeyPatch) -> None:
    take, of = Session._take_acks, newest(monkeypatch)
    monkeypatch.setattr(Session, "_take_acks", lambda session, acks: take(of(session), acks))


def another_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, of = Session._ask_service, newest(monkeypatch)
    monkeypatch.setattr(Session, "_ask_service", lambda session, body: ask(of(session), body))


def another_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    of, take = newest(monkeypatch), Session._take_change

    def taken(session: Session, requested: Requested, caller: Caller, _turns: Turns) -> None:
        other = of(session).caller or caller
        take(session, requested, other, Turns(session._desk, session, other))

    monkeypatch.setattr(Session, "_take_change", taken)


@pytest.mark.parametrize("plant", [entered_late, another_acknowledges, another_reads, another_speaks])
def test_a_07_one_who_is_taken_for_another_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    with pytest.raises(Wrong):
        asyncio.run(meet(tmp_path, steps=2_000, seed=1))
