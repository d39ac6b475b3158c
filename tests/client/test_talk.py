"""What a person says about their own messages, before and after these have left the machine (L-04)."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from securechat.client import history, places, queued, records, timers
from securechat.client.engine import Engine
from securechat.client.errors import Forbidden
from securechat.client.groups import Groups
from securechat.client.reading import Reader
from securechat.client.talk import Talk
from tests.client.parts import NOW
from tests.client.spoken import Spoken


class Speaking(Spoken):
    """Alice, who speaks in the room; nothing leaves unless the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        engine = SimpleNamespace(
            store=self.store,
            changes=self.changes,
            device=self.device,
            groups=Groups(self.device),
            clock=lambda: float(NOW),
            connected=None,
        )
        self.talk = Talk(cast(Engine, engine))

    def to_seal(self) -> list[int]:
        return [each.local_id for each in history.to_seal(self.store.db, self.record.id, limit=99)]

    def seals_all(self) -> list[int]:
        """Everything that waits is in flight."""
        waiting = self.to_seal()
        with self.changes.change() as change:
            for local_id in waiting:
                history.mark_sealed(change.db, local_id, sealed=local_id.to_bytes(32, "big"), epoch=1)
        return waiting

    def acknowledges(self, *local_ids: int) -> None:
        with self.changes.change() as change:
            for place, local_id in enumerate(local_ids, 1):
                history.mark_sent(change.db, local_id, sequence=place, now=NOW)

    def places(self, local_id: int) -> None:
        """The server has it: as when its answer or its echo is read."""
        with self.changes.change() as change:
            Reader(self.device, Groups(self.device), lambda: NOW).place_own(change, self.record, local_id, 1)

    def seals_anew(self, *local_ids: int) -> None:
        """The server had refused them as too late."""
        with self.changes.change() as change:
            for local_id in local_ids:
                history.unseal(change.db, local_id)

    def refuses(self, local_id: int, code: str = "quota") -> None:
        with self.changes.change() as change:
            queued.refuse_one(change, self.record.id, local_id, code, "no")


@pytest.fixture
def alice(tmp_path: Path) -> Speaking:
    return Speaking(tmp_path)


def test_of_what_is_deleted_before_it_left_nothing_leaves(alice: Speaking) -> None:
    """L-04: neither its words nor those that it was changed to; a reaction to it says nothing either."""
    said = alice.talk.send("#team", "canary one")
    alice.talk.edit("#team", said.id, "canary two")
    alice.talk.react("#team", said.id, "👍")
    other = alice.talk.send("#team", "another")

    assert alice.talk.delete("#team", said.id).deleted
    assert alice.to_seal() == [other.local_id]
    assert alice.everywhere("canary") == []


def test_a_change_in_flight_does_not_go_again_once_its_message_is_deleted_unsent(alice: Speaking) -> None:
    """Both were too late; the message came back first and was deleted before the change did."""
    said = alice.talk.send("#team", "canary one")
    alice.talk.edit("#team", said.id, "canary two")
    first, change = alice.seals_all()
    alice.seals_anew(first)
    alice.talk.delete("#team", said.id)
    alice.seals_anew(change)

    assert alice.to_seal() == []
    assert alice.everywhere("canary") == []


def test_a_change_of_what_the_server_refused_does_not_go(alice: Speaking) -> None:
    said = alice.talk.send("#team", "one")
    alice.seals_all()
    alice.talk.edit("#team", said.id, "two")
    alice.refuses(said.local_id)
    assert alice.to_seal() == []


def test_n_03_a_withdrawal_that_a_restored_server_has_lost_is_sent_again(alice: Speaking) -> None:
    """Who had not fetched it would keep the words. They stay gone here; its changes are not sent again."""
    said = alice.talk.send("#team", "canary one")
    alice.talk.edit("#team", said.id, "canary two")
    alice.acknowledges(*alice.seals_all())
    alice.talk.delete("#team", said.id)
    (withdrawal,) = alice.seals_all()
    with alice.changes.change() as change:
        history.mark_sent(change.db, withdrawal, sequence=3, now=NOW)
        places.queue_again(change.db, alice.record.id, first=1, last=3, newcomers=0)

    assert alice.to_seal() == [withdrawal]
    assert alice.everywhere("canary") == []


def expires_after(alice: Speaking) -> int:
    return records.by_id(alice.store.db, alice.record.id).expires_after


def comes(alice: Speaking, seconds: int) -> None:
    with alice.changes.change() as change:
        timers.came(change.db, alice.record.id, seconds)


def test_a_timer_of_ours_takes_its_place_in_the_logs_order(alice: Speaking) -> None:
    """We set it offline; another's was placed before ours, so ours is the last."""
    ours = alice.talk.set_expiry("#team", 60)
    comes(alice, 0)
    assert expires_after(alice) == 60, "what we write now comes after ours"
    alice.places(ours.local_id)
    assert expires_after(alice) == 60
    comes(alice, 3600)
    assert expires_after(alice) == 3600


def test_a_timer_that_was_refused_is_none(alice: Speaking) -> None:
    comes(alice, 3600)
    first, second = alice.talk.set_expiry("#team", 60), alice.talk.set_expiry("#team", 0)
    alice.refuses(second.local_id)
    assert expires_after(alice) == 60
    alice.refuses(first.local_id)
    assert expires_after(alice) == 3600


def test_a_timer_of_ours_is_not_withdrawn(alice: Speaking) -> None:
    ours = alice.talk.set_expiry("#team", 60)
    for call in (alice.talk.delete, lambda to, id_: alice.talk.edit(to, id_, "x")):
        with pytest.raises(Forbidden):
            call("#team", ours.id)


def test_words_that_were_deleted_on_their_way_go_when_they_are_refused(alice: Speaking) -> None:
    """L-04."""
    said = alice.talk.send("#team", "canary")
    alice.seals_all()
    alice.talk.delete("#team", said.id)
    assert alice.everywhere("canary"), "it may have to be sealed anew"
    alice.refuses(said.local_id)
    assert alice.everywhere("canary") == []


def test_what_was_refused_can_be_deleted_here(alice: Speaking) -> None:
    """L-04: it was sent to the wrong place, for example; it cannot be changed, for nobody has it."""
    said = alice.talk.send("#team", "canary")
    alice.refuses(said.local_id)
    with pytest.raises(Forbidden, match="never sent"):
        alice.talk.edit("#team", said.id, "x")
    with pytest.raises(Forbidden, match="never sent"):
        alice.talk.react("#team", said.id, "👍")

    gone = alice.talk.delete("#team", said.id)
    assert (gone.deleted, gone.text) == (True, "")
    assert alice.to_seal() == []
    assert alice.everywhere("canary") == []


def test_what_was_refused_disappears_in_its_time(alice: Speaking) -> None:
    comes(alice, 60)
    said = alice.talk.send("#team", "soon gone")
    assert said.expires == 0
    alice.refuses(said.local_id)
    assert history.message(alice.store.db, said.local_id).expires == NOW + 60
