"""History follows: what one device wrote into the archive another one reads (rules.md C, D-07)."""

import contextlib
from pathlib import Path

import pytest

from securechat.client import archive_rows, archiving, finding
from securechat.client.archive_arriving import place_at
from securechat.client.archive_format import ArchiveDamaged, decode_manifest, open_segment
from securechat.membership.renewal import Secrets
from tests.client.archived import SECRET, Kept, Killed, Sibling, id_of
from tests.client.parts import NOW


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def old(tmp_path: Path, kept: Kept) -> Sibling:
    return Sibling(tmp_path / "old", kept)


@pytest.fixture
def new(tmp_path: Path, kept: Kept, old: Sibling) -> Sibling:
    return Sibling(tmp_path / "new", kept, device=old.device)


async def test_a_new_device_has_what_the_old_one_had(old: Sibling, new: Sibling) -> None:
    for number in range(1, 31):
        old.hears(number, sender="alice" if number % 3 == 0 else "bob")

    await old.archive.round()
    await new.archive.round()

    assert new.texts() == old.texts()
    assert [m.own for m in new.timeline()] == [m.own for m in old.timeline()]
    assert [m.timestamp for m in new.timeline()] == [m.timestamp for m in old.timeline()]
    assert new.moved[-1].done == new.moved[-1].total == 30
    assert new.moved[-1].finished
    found = finding.search(new.store.db, '"message 17"', conversation=None, limit=5, before=0)
    assert len(found) == 1


async def test_it_counts_as_read_and_is_told_to_nobody(old: Sibling, new: Sibling) -> None:
    old.hears(1)
    await old.archive.round()
    await new.archive.round()

    rows = new.store.rows("SELECT shown, printed, reported, archived FROM message")
    assert rows == [(1, 1, 2, 1)]
    assert new.store.rows("SELECT * FROM owed_receipt") == []


async def test_what_was_said_of_a_message_comes_with_it(old: Sibling, new: Sibling) -> None:
    target = old.hears(1)
    old.reacts(1, "👍")
    old.hears(2, thread="plans", about=id_of(1))

    await old.archive.round()
    await new.archive.round()

    first, second = new.timeline()
    assert [(each.text, each.users) for each in first.reactions] == [("👍", ("bob",))]
    assert (second.thread, second.reply_to) == ("plans", target.id)


async def test_a_later_word_about_an_old_message_goes_there_again(old: Sibling, new: Sibling) -> None:
    old.hears(1)
    await old.archive.round()
    old.reacts(1, "👍")
    assert archive_rows.waiting(old.store.db) == 1
    await old.archive.round()

    await new.archive.round()

    assert [each.text for each in new.message(1).reactions] == ["👍"]


async def test_what_another_device_wrote_is_not_written_again(old: Sibling, new: Sibling, kept: Kept) -> None:
    for sibling in (old, new):
        sibling.hears_all(range(1, 11))
    await old.archive.round()
    before = dict(kept.files)

    await new.archive.round()

    assert kept.files == before
    assert archive_rows.waiting(new.store.db) == 0
    assert not new.moved


async def test_two_that_write_at_once_lose_nothing(old: Sibling, new: Sibling, kept: Kept) -> None:
    """The list is a compare-and-set: who comes second looks again."""
    old.hears(1)
    await old.archive.round()
    old.hears(2)
    new.hears(3, sender="carol")
    hits: list[object] = []

    def meanwhile(what: object) -> None:
        if what == ("archive", 2) and not hits:
            hits.append(what)
            kept.box = (2, kept.box[1] if kept.box else b"")

    kept.before = meanwhile
    await old.archive.round()
    await new.archive.round()
    third = Sibling(new.device_folder / "third", kept, device=old.device)
    await third.archive.round()

    assert hits
    assert third.texts() == ["message 1", "message 2", "message 3"]


@pytest.mark.parametrize("step", range(14))
async def test_a_kill_at_any_step_costs_nothing(old: Sibling, new: Sibling, kept: Kept, step: int) -> None:
    """Whatever is asked of the server may be the last thing this process does."""
    old.hears_all(range(1, 21))
    await old.archive.round()
    old.hears_all(range(21, 31))
    old.withdraws(7)
    steps = iter(range(step))

    def killed(_: object) -> None:
        if next(steps, None) is None:
            raise Killed

    kept.before = killed
    for sibling in (old, new):
        with contextlib.suppress(Killed):
            await sibling.archive.round()
    kept.before = lambda _: None
    await old.archive.round()
    await new.archive.round()

    assert new.texts() == old.texts()
    assert len(new.texts()) == 30
    old.lets_go()
    new.lets_go()
    assert old.archive.stand is not None
    assert kept.files.keys() == old.archive.stand.manifest.files


async def test_q_08_what_was_withdrawn_leaves_the_archive(old: Sibling, new: Sibling, kept: Kept) -> None:
    for number in range(1, 5):
        old.hears(number)
    await old.archive.round()
    old.withdraws(2)

    await old.archive.round()
    old.lets_go()
    await new.archive.round()

    assert new.texts() == ["message 1", "", "message 3", "message 4"]
    assert new.message(2).deleted
    assert all(b"message 2" not in each for each in kept.opened())
    assert any(b"message 3" in each for each in kept.opened())


async def test_what_is_to_disappear_never_goes_there(old: Sibling, kept: Kept) -> None:
    old.hears(1, lifetime=60)
    old.hears(2, expires=1_900_000_000)

    await old.archive.round()

    assert kept.files == {}
    assert kept.box is None


async def test_the_words_of_a_room_that_one_has_not_joined_do_not_either(old: Sibling, kept: Kept) -> None:
    old.hears(1)
    with old.changes.change() as change:
        change.db.execute("UPDATE conversation SET state = 'invited'")
    await old.archive.round()
    assert kept.files == {}


async def test_a_flipped_bit_is_refused_and_said(old: Sibling, new: Sibling, kept: Kept) -> None:
    """Nothing of a segment is taken that is not as a device of ours sealed it; the others are."""
    old.hears(1)
    await old.archive.round()
    (file,) = kept.files
    whole = kept.files[file]
    kept.files[file] = whole[:-1] + bytes([whole[-1] ^ 1])

    await new.archive.round()

    assert new.texts() == []
    (notice,) = new.notices
    assert notice.code == "archive_damaged"


async def test_segments_in_each_others_place_are_refused(
    old: Sibling, new: Sibling, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "SMALL", 0)
    old.hears(1, "a" * 200)
    await old.archive.round()
    old.hears(2, "b")
    await old.archive.round()
    first, second = kept.files
    kept.files[first], kept.files[second] = kept.files[second], kept.files[first]

    await new.archive.round()

    assert new.texts() == []
    assert [each.code for each in new.notices] == ["archive_damaged"] * 2


async def test_d_02_who_has_the_last_secret_alone_reads_nothing_of_what_is_written_later(
    old: Sibling, new: Sibling, kept: Kept
) -> None:
    """And who has the new one too reads all of it."""
    old.hears(1, "before")
    await old.archive.round()

    async def secrets() -> Secrets:
        return Secrets(b"n" * 32, (SECRET,))

    for device in (old, new):
        device.archive.secrets = secrets
    thief = {each.file for each in decode_manifest(kept.boxes["archive"][1]).segments}
    old.hears(2, "after " * 20_000)
    await old.archive.round()
    await new.archive.round()

    assert [text[:6] for text in new.texts()] == ["before", "after "]
    later = [each for each in decode_manifest(kept.boxes["archive"][1]).segments if each.file not in thief]
    assert later
    for each in later:
        with pytest.raises(ArchiveDamaged):
            open_segment(SECRET, each, kept.files[each.file])


async def test_d_07_what_another_secret_sealed_is_nobodys(tmp_path: Path, old: Sibling, kept: Kept) -> None:
    """D-07: only a device of the account can say what we said; the server, or another account, cannot."""
    mallory = Sibling(tmp_path / "mallory", kept, secret=b"m" * 32, device=old.device)
    mallory.hears(1, "I owe mallory a million", sender="alice")
    await mallory.archive.round()

    await old.archive.round()

    assert old.texts() == []
    assert [each.code for each in old.notices] == ["archive_damaged"]


async def test_an_older_list_is_refused_and_said(old: Sibling, kept: Kept) -> None:
    old.hears(1)
    await old.archive.round()
    before = kept.box
    old.hears(2)
    await old.archive.round()
    kept.box = before

    with pytest.raises(ArchiveDamaged, match="older list"):
        await old.archive.round()

    kept.box = None
    with pytest.raises(ArchiveDamaged, match="older list"):
        await old.archive.round()


async def test_what_a_restored_server_lost_goes_there_again(old: Sibling, new: Sibling, kept: Kept) -> None:
    """N-03: a server that says that it is an older copy of itself may have an older list."""
    old.hears(1)
    await old.archive.round()
    before = kept.box, dict(kept.files)
    old.hears(2)
    await old.archive.round()
    kept.box, kept.files = before
    old.meets_incarnation(1)

    await old.archive.round()
    await new.archive.round()

    assert new.texts() == ["message 1", "message 2"]


async def test_n_03_what_a_restored_server_lost_goes_there_again_whoever_wrote_since(
    old: Sibling, new: Sibling, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sibling that had seen no more than the copy has brings the list as far as it was."""
    monkeypatch.setattr(archiving, "FULL", 100)
    old.hears(1)
    await old.archive.round()
    before = kept.box, dict(kept.files)
    old.hears(2)
    await old.archive.round()
    assert kept.box is not None
    lost = kept.box[0]
    kept.box, kept.files = before
    new.meets_incarnation(1)
    new.hears(3)
    await new.archive.round()
    assert kept.box is not None
    assert kept.box[0] == lost
    old.meets_incarnation(1)

    await old.archive.round()

    assert any(b"message 2" in each for each in kept.opened())
    assert sum(b"message 1" in each for each in kept.opened()) == 1


async def test_q_08_what_was_withdrawn_leaves_the_older_list_of_a_restored_server_too(
    old: Sibling, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy has a segment from before it was withdrawn, and the files are still there."""
    monkeypatch.setattr(archiving, "FULL", 100)  # none is written anew with what follows
    old.hears_all(range(1, 4))
    await old.archive.round()
    before = kept.box, dict(kept.files)
    old.withdraws(2)
    await old.archive.round()
    kept.box, kept.files = before[0], kept.files | before[1]
    old.meets_incarnation(1)

    await old.archive.round()

    assert all(b"message 2" not in each for each in kept.opened())
    assert any(b"message 3" in each for each in kept.opened())


async def test_a_time_that_the_server_made_up_costs_nothing_that_stands_beside_it(
    old: Sibling, new: Sibling
) -> None:
    """D-07: any time is shown as it is given, and what is written must be read again."""
    old.hears_all(range(1, 4))
    old.hears(4, timestamp=(1 << 63) - 1)
    with old.changes.change() as change:
        change.db.execute("UPDATE conversation SET title = ?", ("t" * 600,))

    await old.archive.round()
    await old.archive.round()
    await new.archive.round()

    assert [each.code for each in (*old.notices, *new.notices)] == []
    assert sorted(new.texts()) == sorted(old.texts())


async def test_n_03_each_list_of_a_restored_server_is_older_for_itself(
    old: Sibling, new: Sibling, kept: Kept
) -> None:
    """The list of the archive was looked at since; that of hand-overs is as old as the copy is."""
    old.hears(1)
    await old.archive.round()
    await old.hands_over(new)
    before = dict(kept.boxes)
    await old.passing.let_go(NOW + 1)
    kept.boxes = before
    old.meets_incarnation(1)
    await old.archive.round()

    await old.passing.let_go(NOW + 1)

    assert decode_manifest(kept.boxes["transfer"][1]).segments == ()


async def test_off_deletes_it_and_on_writes_it_again(old: Sibling, new: Sibling, kept: Kept) -> None:
    old.hears(1)
    await old.archive.round()
    await new.archive.round()
    old.turns(on=False)

    await old.archive.round()
    old.lets_go()
    await new.archive.round()

    assert kept.files == {}
    assert [each.text for each in new.notices] == [archiving.TURNED_OFF]
    new.turns(on=True)
    await new.archive.round()
    assert kept.files
    await old.archive.round()
    assert [each.text for each in old.notices] == [archiving.TURNED_ON]


async def test_it_is_written_in_few_bytes(old: Sibling, kept: Kept) -> None:
    """A message that comes now and then does not have all before it written again."""
    for number in range(0, 400, 20):
        old.hears_all(range(number, number + 20), "x" * 500)
        await old.archive.round()
        old.lets_go()
    sent = sum(len(each.data) for each in kept.asked if hasattr(each, "data"))
    assert old.archive.stand is not None
    assert len(old.archive.stand.manifest.segments) < 8
    assert sent < 8 * 400 * 600


async def test_a_message_that_could_not_be_read_here_is_filled_in(old: Sibling, new: Sibling) -> None:
    old.hears(1)
    old.hears(2)
    new.hears(1)
    new.cannot_read(2)
    new.hears(3)
    await old.archive.round()

    await new.archive.round()

    assert new.texts() == ["message 1", "message 2", "message 3"]


async def test_of_a_conversation_that_is_here_only_what_was_before_comes(old: Sibling, new: Sibling) -> None:
    """What was said since comes by the log, in its order, and is told."""
    old.hears_all(range(1, 200))
    new.hears(100)
    await old.archive.round()

    await new.archive.round()

    assert new.texts()[-1] == "message 100"
    assert new.texts()[:3] == ["message 1", "message 2", "message 3"]
    assert "message 199" not in new.texts()


async def test_nothing_of_it_can_act_on_a_terminal(old: Sibling, new: Sibling) -> None:
    """U-01: a device of ours may be a thief's."""
    old.hears(1, "\x1b[2Jhello")
    await old.archive.round()
    await new.archive.round()
    assert new.texts() == ["\\x1b[2Jhello"]


@pytest.mark.parametrize("sequence", [0, 7], ids=["unnumbered", "of one place in the log"])
def test_many_of_one_second_find_their_places_each_at_the_same_cost(old: Sibling, sequence: int) -> None:
    """Counted in steps of the database's machine: the last hundred cost what the first did."""
    room, cost, places = old.room().id, list[int](), list[int]()
    with old.changes.change() as change:
        for _ in range(4):
            cost.append(0)

            def count() -> bool:
                cost[-1] += 1
                return False

            change.db.set_progress_handler(count, 10)
            for _ in range(50):
                places.append(place_at(change.db, NOW, sequence))
                change.db.execute(
                    "INSERT INTO message (id, conversation, sender, own, state, content, text, timestamp)"
                    " VALUES (?, ?, 'bob', 0, 'received', x'', '', ?)",
                    (places[-1], room, NOW),
                )
            change.db.set_progress_handler(None)
    assert cost[-1] <= cost[0] * 1.2
    assert places[1:] == sorted(places[1:], reverse=True), "what comes later stands before what came first"
