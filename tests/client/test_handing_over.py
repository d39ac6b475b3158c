"""Where there is no archive: who lets a device in hands over all it has, and says when that is done."""

import contextlib
from pathlib import Path

import pytest

from securechat.client import handing_over
from securechat.client.archive_format import decode_manifest
from securechat.client.handing_over import KEPT_SECONDS
from securechat.protocol.messages import PutFile
from tests.client.archived import Kept, Killed, Sibling
from tests.client.parts import NOW


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def old(tmp_path: Path, kept: Kept) -> Sibling:
    return Sibling(tmp_path / "old", kept)


@pytest.fixture
def new(tmp_path: Path, kept: Kept) -> Sibling:
    return Sibling(tmp_path / "new", kept)


@pytest.fixture
def third(tmp_path: Path, kept: Kept) -> Sibling:
    return Sibling(tmp_path / "third", kept)


def in_small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty messages make six of them."""
    monkeypatch.setattr("securechat.client.archiving.FULL", 300)
    monkeypatch.setattr("securechat.client.archiving.BATCH", 5)


def told(sibling: Sibling) -> list[str]:
    return [each.text for each in sibling.notices]


def puts(kept: Kept) -> int:
    return sum(isinstance(each, PutFile) for each in kept.asked)


async def test_the_new_device_has_what_the_old_one_had_and_nothing_stays_at_the_server(
    old: Sibling, new: Sibling, kept: Kept
) -> None:
    old.hears_all(range(1, 31))
    old.turns(on=False)
    await old.archive.round()
    assert not await new.passing.take()

    await old.hands_over(new)
    assert await new.passing.take()

    assert new.texts() == old.texts()
    assert told(old) == [handing_over.HANDS_OVER, handing_over.HANDED_OVER]
    new.lets_go()
    assert kept.files == {}
    assert not await new.passing.take()


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("step", [0, 1, 2, 3, 6])
async def test_one_that_is_interrupted_goes_on_and_is_not_taken_for_all(
    old: Sibling, new: Sibling, kept: Kept, monkeypatch: pytest.MonkeyPatch, step: int, lost: str
) -> None:
    """Whatever is asked of the server may be the last thing the process does, answered or not."""
    in_small_segments(monkeypatch)
    old.hears_all(range(1, 31))
    old.turns(on=False)
    await old.archive.round()
    steps = iter(range(step))

    def killed(_: object) -> None:
        if next(steps, None) is None:
            raise Killed

    setattr(kept, lost, killed)
    with contextlib.suppress(Killed):
        await old.hands_over(new)
    setattr(kept, lost, lambda _: None)
    if handing_over.owed(old.store.db):
        assert not await new.passing.take()
    await old.archive.round()  # it goes on after a start, which looks after the archive first
    old.lets_go()
    await old.passing.give(NOW)

    steps = iter(range(step))
    setattr(kept, lost, killed)
    with contextlib.suppress(Killed):
        await new.passing.take()
    setattr(kept, lost, lambda _: None)
    await new.passing.take()

    assert new.texts() == old.texts()
    assert [each for each in (*old.notices, *new.notices) if each.code == "archive_damaged"] == []
    for sibling in (old, new):
        await sibling.passing.let_go(NOW + 1)
        sibling.lets_go()
    assert kept.files == {}


async def test_of_two_that_come_at_once_each_gets_all(
    old: Sibling, new: Sibling, third: Sibling, kept: Kept
) -> None:
    old.hears_all(range(1, 31))
    await old.hands_over(new, third)

    assert await new.passing.take()
    new.lets_go()
    assert await third.passing.take()

    assert new.texts() == third.texts() == old.texts()
    third.lets_go()
    assert kept.files == {}


async def test_who_comes_while_the_first_has_not_read_costs_only_what_is_new(
    old: Sibling, new: Sibling, third: Sibling, kept: Kept
) -> None:
    old.hears_all(range(1, 31))
    await old.hands_over(new)
    old.hears(31)
    before = puts(kept)

    await old.hands_over(third)

    assert puts(kept) == before + 1
    for sibling in (new, third):
        assert await sibling.passing.take()
        assert sibling.texts() == old.texts()


async def test_two_devices_that_hand_over_at_once_do_not_undo_each_other(
    tmp_path: Path, old: Sibling, new: Sibling, third: Sibling, kept: Kept
) -> None:
    desk = Sibling(tmp_path / "desk", kept)
    for sibling in (old, desk):
        sibling.hears_all(range(1, 31))
    desk.hears(31)
    desk.lets_in(third)
    busy: list[object] = []

    def meanwhile(what: object) -> None:
        if isinstance(what, PutFile) and not busy:
            busy.append(what)
            serial, content = kept.boxes["transfer"]
            kept.boxes["transfer"] = (serial + 1, content)

    await desk.passing.give(NOW)
    kept.before = meanwhile
    await old.hands_over(new)

    assert await third.passing.take()
    assert await new.passing.take()
    assert new.texts() == third.texts() == desk.texts()
    for sibling in (new, third):
        sibling.lets_go()
    assert kept.files == {}


async def test_one_that_nobody_reads_goes_after_a_day_but_not_that_of_who_came_later(
    old: Sibling, new: Sibling, third: Sibling, kept: Kept
) -> None:
    old.hears(1)
    await old.hands_over(new)
    later = NOW + KEPT_SECONDS // 2
    await old.hands_over(third, at=later)

    await old.passing.let_go(NOW + 1)
    assert [each.device for each in decode_manifest(kept.boxes["transfer"][1]).askers] == [
        third.device.client
    ]
    assert old.passing.lies_there
    await old.passing.let_go(later)

    old.lets_go()
    assert kept.files == {}
    assert not old.passing.lies_there


async def test_one_that_was_owed_for_a_day_is_given_up_and_said(
    old: Sibling, new: Sibling, kept: Kept
) -> None:
    old.hears(1)
    old.lets_in(new)

    await old.passing.give(NOW + KEPT_SECONDS + 1)

    assert told(old) == [handing_over.NOT_HANDED]
    assert kept.boxes == {}


async def test_what_the_server_takes_no_more_of_is_handed_over_in_part_and_said(
    old: Sibling, new: Sibling, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_segments(monkeypatch)
    old.hears_all(range(1, 31))
    kept.room = 2

    await old.hands_over(new)

    assert told(old) == [handing_over.HANDS_OVER, handing_over.HANDED_IN_PART]
    assert await new.passing.take()
    assert 0 < len(new.texts()) < len(old.texts())


async def test_d_07_one_of_another_secret_is_refused_and_said(
    tmp_path: Path, new: Sibling, kept: Kept
) -> None:
    """As with the archive: only a device of the account can say what we said."""
    mallory = Sibling(tmp_path / "mallory", kept, secret=b"m" * 32)
    mallory.hears(1, "I owe mallory a million", sender="alice")
    await mallory.hands_over(new)
    await new.passing.take()
    assert new.texts() == []
    assert [each.code for each in new.notices] == ["archive_damaged"]
