"""Members of one room with stores of their own and no network: the log is a list in the test."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import history, intents, key_packages, log_chain, log_ends, records, rooms, staged
from securechat.client.change import Change, Changes
from securechat.client.compose import queue_text
from securechat.client.events import Event, Kind, Message, Standing
from securechat.client.groups import Groups
from securechat.client.intents import What
from securechat.client.joining import Joiner
from securechat.client.reading import MESSAGE, Reader
from securechat.client.records import ConversationRecord
from securechat.client.work import PADDING
from securechat.membership.room import extensions_for
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.codec import decode, encode
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol.messages import Carried, Entry, Gap, InboxEntry
from tests.client.parts import NOW, a_device, a_store

GROUP = b"g" * 32


class MemberOf:
    """One device and what it holds."""

    def __init__(
        self,
        folder: Path,
        user: str,
        *,
        account_key: Ed25519PrivateKey | None = None,
        generation: int = 1,
        folder_name: str = "",
    ) -> None:
        folder = folder / (folder_name or user)
        folder.mkdir()
        self.now = NOW
        self.device = a_device(user, account_key=account_key, generation=generation)
        self.store = a_store(folder)
        self.events: list[Event] = []
        self.acknowledged: dict[bytes, int] = {}
        self.groups = Groups(self.device)
        self.changes = Changes(self.store, done=self._done, undone=self._undone, clock=self._clock)
        self.reader = Reader(self.device, self.groups, self._clock)
        self.joiner = Joiner(self.device, self.groups, self._clock)

    @property
    def record(self) -> ConversationRecord:
        (record,) = records.every(self.store.db)
        return record

    @property
    def group(self) -> Group:
        group = self.groups.group(self.store.db, self.record.id)
        assert group is not None
        return group

    @property
    def wants(self) -> list[What]:
        return [intent.what for intent in intents.of(self.store.db, self.record.id)]

    def key_package(self, suite: int = SUITE_HYBRID.number) -> KeyPackage:
        with self.changes.change() as change:
            made = key_packages.publication(
                change.db, self.device, suite, fresh=9, has_last_resort=False, now=NOW
            )
            assert made is not None
        return decode(KeyPackage, made.last_resort)

    def founds(
        self, *others: "MemberOf", kind: Kind = Kind.ROOM, uri: str = "", group_id: bytes = GROUP
    ) -> None:
        """Make the room, add the others, and let them in."""
        profile = rooms.new_profile("team", "")
        uri = uri or rooms.new_room_uri(self.device)
        policy = rooms.new_policy(self.device, uri, kind, profile)
        group = Group.create(
            self.device.identity, suite=SUITE_HYBRID, group_id=group_id, extensions=extensions_for(policy)
        )
        with self.changes.change() as change:
            record = records.insert(
                change.db,
                name="#team",
                kind=kind,
                state=Standing.JOINED,
                room=uri,
                group_id=group_id,
                profile=encode(profile),
            )
            self.groups.keep(change, record.id, group)
            log_chain.restart(change.db, record.id, b"")
        if others:
            packages = tuple(other.key_package() for other in others)
            commit = self.stages(CommitPlan(add=packages, welcome_extensions=(profile.extension,)))
            self.reads(entry(1, "commit", commit.message, epoch=0))
            for other in others:
                other.invited(self, commit, start=2)

    def invited(self, by: "MemberOf", commit: StagedCommit, *, start: int) -> None:
        assert commit.welcome is not None
        public = commit.state.public
        tree = public.tree.to_bytes()
        told = InboxEntry(1, GROUP, public.context.epoch, start, by.device.client, Carried(), NOW)
        with self.changes.change() as change:
            self.joiner.take(change, told, commit.welcome, tree)
            record = records.by_group(change.db, GROUP)
            if record is not None:
                records.update(change.db, record.id, state=Standing.JOINED)

    def stages(self, plan: CommitPlan) -> StagedCommit:
        """Stage a commit as the planner does: stored, with an intent behind it."""
        commit = self.group.stage_commit(plan)
        with self.changes.change() as change:
            intent = intents.add(change.db, self.record.id, What.UPDATE)
            staged.put(
                change.db, self.record.id, commit, intent=intent, external=False, epoch=self.group.epoch
            )
        return commit

    def seals(self, text: str) -> bytes:
        """Seal a message that says what it has seen of the log."""
        with self.changes.change() as change:
            message = queue_text(change, self.device, self.record, text, now=NOW, key=None)
            ((content,),) = change.db.execute(
                "SELECT content FROM message WHERE id = ?", (message.local_id,)
            ).fetchall()
            assert isinstance(content, bytes)
            change.db.execute("DELETE FROM message WHERE id = ?", (message.local_id,))
        return self.seals_content(content)

    def seals_content(self, content: bytes) -> bytes:
        with self.changes.change() as change:
            ends = log_ends.to_tell(change.db, self.record, self.group.public.tree)
            claim = log_chain.claim(change.db, self.record.id, ends)
            sealed = self.group.encrypt(content, authenticated_data=claim, padding=PADDING)
            self.groups.keep_secrets(change, self.record.id, self.group)
        return sealed

    def reads(self, *entries: Entry | Gap) -> None:
        with self.changes.change() as change:
            self.reader.read(change, self.record, entries)

    def heard(self) -> list[Message]:
        return history.latest(self.store.db, self.record.id, 100)

    def forget_memory(self) -> None:
        """As after a restart: only the store is left."""
        self.groups = Groups(self.device)
        self.reader = Reader(self.device, self.groups, self._clock)

    def _clock(self) -> float:
        return self.now

    def _done(self, change: Change) -> None:
        self.events += change.events
        self.acknowledged |= change.acknowledged

    def _undone(self, change: Change) -> None:
        for conversation in change.touched:
            self.groups.forget(conversation)


def entry(sequence: int, kind: str, body: bytes, *, epoch: int, sender: str = "x" * 26) -> Entry:
    return Entry(sequence, kind, epoch, sender, NOW, body)


def message(sequence: int, body: bytes, *, epoch: int = 1) -> Entry:
    return entry(sequence, MESSAGE, body, epoch=epoch)
