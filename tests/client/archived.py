"""A server that keeps an archive, and devices of one account that use it: no network, no MLS."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from securechat.client import forgetting, handing_over, records, said_of
from securechat.client.archive_format import decode_manifest, open_segment
from securechat.client.archiving import BOX, PASSED, Archive, BoxIsNewer, turn_archive
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.errors import RefusedByServer
from securechat.client.events import Event, HistoryMoved, Kind, Message, MessageState, Notice, Standing
from securechat.client.handing_over import HandOver
from securechat.client.history import Arrival, add_received
from securechat.client.history import message as message_of
from securechat.client.private_files import create_file
from securechat.client.store import ClientStore, create_store
from securechat.client.timeline import page
from securechat.client.transfers import files_to_go
from securechat.content.saying import Reacts
from securechat.membership.renewal import Secrets
from securechat.protocol.limits import MAX_CHUNK
from securechat.protocol.messages import Answer, FilePiece, FileStored, GetFile, PutFile, RequestBody
from tests.client.parts import DOMAIN, NOW, Told, a_device

GROUP = b"g" * 32
ROOM = f"mimi://{DOMAIN}/r/0123456789abcdef"
SECRET = bytes(range(32))


class Kept:
    """What the server has: files, and one box. ``before`` is done ahead of each request."""

    def __init__(self) -> None:
        self.files: dict[bytes, bytes] = {}
        self.begun: dict[bytes, bytes] = {}
        self.boxes: dict[str, tuple[int, bytes]] = {}
        self.asked: list[RequestBody] = []
        self.room = 1_000
        """Files that it takes."""
        self.after: Callable[[str], None] = lambda _: None
        """Is done when a box was replaced, before that is known."""
        self.before: Callable[[object], None] = lambda _: None

    @property
    def box(self) -> tuple[int, bytes] | None:
        """The list of the archive."""
        return self.boxes.get("archive")

    @box.setter
    def box(self, box: tuple[int, bytes] | None) -> None:
        self.boxes.pop("archive", None)
        if box is not None:
            self.boxes["archive"] = box

    def opened(self, secret: bytes = SECRET) -> list[bytes]:
        """What a device of alice reads in the segments that are listed."""
        assert self.box is not None
        listed = decode_manifest(self.box[1]).segments
        return [open_segment(secret, each, self.files[each.file]) for each in listed]

    async def ask(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        self.before(body)
        match body:
            case PutFile(file, offset, total, data, kept):
                assert kept
                if file not in self.files and len(self.files) >= self.room:
                    raise RefusedByServer("quota", "")
                had = self.files.get(file) or self.begun.get(file, b"")
                if offset == len(had):
                    had += data
                self.begun[file] = had
                if len(had) == total:
                    self.files[file] = had
                return FileStored(len(had), 0)
            case GetFile(file, offset):
                if file not in self.files:
                    raise RefusedByServer("no_file", "")
                data = self.files[file]
                return FilePiece(len(data), offset, data[offset : offset + MAX_CHUNK])
            case _:
                raise AssertionError(body)

    async def get(self, box: str) -> tuple[int, bytes] | None:
        self.before(box)
        return self.boxes.get(box)

    async def put(self, box: str, serial: int, content: bytes) -> None:
        self.before((box, serial))
        at = self.boxes[box][0] if box in self.boxes else 0
        if serial != at + 1:
            raise BoxIsNewer(str(at))
        self.boxes[box] = (serial, content)
        self.after(box)


class Killed(BaseException):
    """As a kill: nothing after it is done."""


class NewStore:
    """What a device has before anything came; ``said`` is what was told."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.store = _new_store(folder)
        self.changes = Told(self.store).changes
        self.said: list[Event] = []


class Sibling:
    """One device of alice: a store, and its archive."""

    def __init__(
        self, folder: Path, kept: Kept, *, secret: bytes = SECRET, device: Device | None = None
    ) -> None:
        folder.mkdir()
        self.device_folder = folder
        self.kept = kept
        self.store = _new_store(folder)
        self.device = device or a_device("alice")
        told = Told(self.store)
        self.changes = told.changes
        self._told = told
        self.said: list[Event] = []

        async def secrets() -> Secrets:
            return Secrets(secret)

        self.archive, passing = (
            Archive(
                self.changes,
                self.device,
                secrets,
                kept,
                kept.ask,
                self.said.append,
                pause=_at_once,
                box=box,
            )
            for box in (BOX, PASSED)
        )
        self.passing = HandOver(passing)

    def room(self, name: str = "#team", group: bytes = GROUP) -> records.ConversationRecord:
        found = records.by_name(self.store.db, name)
        if found is not None:
            return found
        with self.changes.change() as change:
            return records.insert(
                change.db, name=name, kind=Kind.ROOM, state=Standing.JOINED, room=ROOM, group_id=group
            )

    def hears(self, number: int, text: str = "", *, sender: str = "bob", **more: object) -> Message:
        """A message comes by the log, a minute after the one before."""
        room = self.room()
        with self.changes.change() as change:
            return self._hears(change, room, number, text, sender, **more)

    def hears_all(self, numbers: Iterable[int], text: str = "", *, sender: str = "bob") -> None:
        room = self.room()
        with self.changes.change() as change:
            for number in numbers:
                self._hears(change, room, number, text, sender)

    def _hears(
        self,
        change: Change,
        room: records.ConversationRecord,
        number: int,
        text: str,
        sender: str,
        **more: object,
    ) -> Message:
        arrival = Arrival(
            **{  # type: ignore[arg-type]
                "sender": sender,
                "own": sender == "alice",
                "state": MessageState.SENT if sender == "alice" else MessageState.RECEIVED,
                "mimi_id": id_of(number),
                "text": text or f"message {number}",
                "timestamp": NOW - 1_000_000 + number * 60,
                "sequence": number,
                "epoch": 1,
            }
            | more
        )
        kept = add_received(change.db, room.id, arrival)
        assert kept is not None
        return kept

    def timeline(self, name: str = "#team") -> list[Message]:
        record = records.by_name(self.store.db, name)
        return [] if record is None else page(self.store.db, record.id, limit=1000)

    def texts(self, name: str = "#team") -> list[str]:
        return [message.text for message in self.timeline(name)]

    def message(self, number: int) -> Message:
        row = self.store.row("SELECT id FROM message WHERE mimi_id = ?", (id_of(number),))
        assert row is not None
        return message_of(self.store.db, row[0])

    @property
    def moved(self) -> list[HistoryMoved]:
        return [each for each in self.said if isinstance(each, HistoryMoved)]

    @property
    def notices(self) -> list[Notice]:
        done = [event for change in self._told.done for event in change.events]
        return [each for each in [*self.said, *done] if isinstance(each, Notice)]

    def reacts(self, number: int, text: str) -> None:
        told = said_of.Told(sender="bob", mimi_id=b"r" * 32, timestamp=NOW, content=b"", sequence=99)
        with self.changes.change() as change:
            reacts = Reacts(id_of(number), (text,))
            said_of.put_reactions(change.db, self._record(change).id, reacts, told, waiting=False)

    def withdraws(self, number: int) -> None:
        with self.changes.change() as change:
            local_id = self.message(number).local_id
            forgetting.withdraw(change.db, self._record(change).id, local_id, id_of(number))

    def cannot_read(self, number: int) -> None:
        self.hears(number, "(cannot be decrypted)", state=MessageState.UNREADABLE, mimi_id=None)

    def turns(self, *, on: bool) -> None:
        with self.changes.change() as change:
            turn_archive(change.db, on=on)

    def lets_in(self, *newcomers: "Sibling", at: int = NOW) -> None:
        with self.changes.change() as change:
            for each in newcomers:
                handing_over.owe(change.db, each.device.client, at)

    async def hands_over(self, *newcomers: "Sibling", at: int = NOW) -> None:
        self.lets_in(*newcomers, at=at)
        await self.passing.give(at)

    def meets_incarnation(self, number: int) -> None:
        with self.changes.change() as change:
            records.set_counter(change.db, records.INCARNATION, number)

    def _record(self, change: Change) -> records.ConversationRecord:
        found = records.by_name(change.db, "#team")
        assert found is not None
        return found

    def lets_go(self) -> None:
        """The server is told to delete what is to go."""
        for file in files_to_go(self.store.db):
            self.kept.files.pop(file, None)


def id_of(number: int) -> bytes:
    return b"\x01" + number.to_bytes(31, "big")


@cache
def _empty_store() -> bytes:
    """A new store's file: to make one takes longer than most of what is tested with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = create_store(path, SECRET)
        store.checkpoint()
        store.close()
        return path.read_bytes()


def _new_store(folder: Path) -> ClientStore:
    create_file(folder / "store.db", _empty_store())
    store = ClientStore(folder / "store.db", SECRET)
    store.db.pragma("synchronous", "off")  # no machine fails here, and a disk is slow
    return store


async def _at_once(_seconds: float) -> None:
    pass
