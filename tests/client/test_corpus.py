"""The client says of every case of the judge's corpus what the corpus says (rules.md: one verdict)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client import log_chain, pending, records
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.events import Kind, Standing
from securechat.client.groups import Groups
from securechat.client.handshakes import Handshakes, PubliclyInvalid
from securechat.client.store import KEY_SIZE, ClientStore, create_store
from securechat.mls.group import Group
from securechat.protocol.messages import Entry
from tests.membership.corpus import Case, load
from tests.membership.world import DOMAIN, NOW, Play

CASES = {name: case for name, case in load().items() if case.real}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientStore]:
    folder: Path = tmp_path_factory.mktemp("profile")
    folder.chmod(0o700)
    store = create_store(folder / "store.db", bytes(KEY_SIZE))
    yield store
    store.close()


def receiver_of(play: Play) -> tuple[Group, Device]:
    """Return a member who did not make the commit, and who that is."""
    group = play.receivers[0]
    signer = group.identity.signature_key
    device = next(each for each in play.devices if each.identity.signature_key == signer)
    return group, Device(device.user, device.client, DOMAIN, group.identity)


def receive(store: ClientStore, name: str, play: Play) -> None:
    """Let a member's client take the commit from the log."""
    assert play.staged is not None
    group, device = receiver_of(play)
    groups = Groups(device)
    with store.transaction() as db:
        change = Change(db)
        record = records.insert(
            db, name=name, kind=Kind.ROOM, state=Standing.JOINED, room=name, group_id=group.group_id
        )
        groups.keep(change, record.id, group)
        log_chain.restart(db, record.id, group.public.context.confirmed_transcript_hash)
        for sequence, proposal in enumerate(play.pending):
            pending.add(db, record.id, sequence, proposal.message)
        entry = Entry(9, "commit", group.epoch, "0123456789abcdef", NOW, play.staged.message)
        log_chain.add(db, record.id, hashlib.sha256(entry.body).digest())
        Handshakes(device, groups, lambda: NOW).commit(change, record, entry)


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES.keys())
def test_a_client_judges_a_commit_like_everyone(store: ClientStore, name: str, case: Case) -> None:
    play = case.build()
    if not play.receivers:
        return  # the committer is alone: nobody judges after it
    if case.rule is None:
        receive(store, name, play)
        return
    with pytest.raises(PubliclyInvalid):
        receive(store, name, play)
