"""Targets: who people are, what rooms say, what is inside a message, and what is typed or kept in files."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.errors import BadAddress, StoreDamaged, StoreTooNew
from securechat.client.keystore import AccountFile, read_account
from securechat.client.trust import Pins
from securechat.content import mimi
from securechat.content.attached import with_thumbnail
from securechat.content.errors import ContentError
from securechat.content.message import shown_text, text_message
from securechat.membership import chain, identity, invite, login, room, statement
from securechat.membership.identity import LeafRefused, certificate_holds
from securechat.membership.login import FingerprintRefused
from securechat.membership.room import Profile, Role, RoomRefused, SaltedProfile, with_roles
from securechat.membership.statement import StatementRefused, make_statement
from securechat.mls.codec import encode
from securechat.names import NameRefused, fold_domain, fold_user, parse_uri
from securechat.pictures import small_png
from securechat.pictures.pixels import Pixels
from securechat.private_files import MAX_SMALL_FILE
from securechat.server.config import resolve_config
from securechat.server.errors import ConfigError
from securechat.text import sanitise
from tests.fuzz.judge import Fault, Target
from tests.fuzz.scene import scene, seeded


def _identities() -> tuple[bytes, ...]:
    seen = scene()
    return tuple(device.identity_bytes for device in (seen.alice, seen.bob, seen.erin))


def _identity(data: bytes) -> identity.ClientCredential:
    """Read anew each time: what was read is kept otherwise."""
    credential = identity.read_identity.__wrapped__(data)
    certificate_holds.__wrapped__(credential, scene().alice.identity.signature_key.public)
    return credential


def _statements() -> tuple[bytes, ...]:
    alice = scene().alice
    devices = (statement.Device(alice.credential.client, alice.identity.signature_key.public),)
    first = make_statement(alice.account_key, user=alice.uri, devices=devices, issued_at=5)
    revoked = (statement.Revoked(alice.credential.client, 1),)
    return (
        first,
        make_statement(
            alice.account_key, user=alice.uri, devices=devices, issued_at=6, previous=first, revoked=revoked
        ),
    )


def _rooms() -> tuple[bytes, ...]:
    here = scene().world.room
    roles = {scene().alice.uri: Role.OWNER, scene().bob.uri: Role.BANNED}
    return (encode(here), encode(with_roles(here, roles)))


def _profile(data: bytes) -> SaltedProfile | None:
    return room.decode_profile(data, scene().world.room)


def _profiles() -> tuple[bytes, ...]:
    return (encode(SaltedProfile(bytes(32), Profile(b"tea", b"green or black"))),)


def _marks() -> tuple[bytes, ...]:
    mark = chain.LogChain.start(bytes(32)).add(bytes(32)).mark
    ends = (chain.LogEnd(b"", 7, bytes(16)), chain.LogEnd(bytes(32), 6, bytes(16)))
    return (mark.to_bytes(), chain.LogMark(mark.count, mark.value, ends).to_bytes())


def _invites() -> tuple[bytes, ...]:
    token = seeded(b"invite", invite.new_invite).token
    return (token.encode(), token.upper().replace("-", " ").encode())


def _fingerprints() -> tuple[bytes, ...]:
    return (login.fingerprint(bytes(32)).encode(),)


def _uris() -> tuple[bytes, ...]:
    seen = scene()
    return (seen.alice.uri.encode(), seen.alice.credential.client, seen.world.room.room)


def _text(data: bytes) -> str:
    """Any code points, the lone surrogates among them: what a terminal or JSON may hand us."""
    return data.decode("utf-8", "surrogateescape")


def _folded(text: str) -> list[str]:
    """Each of the names that may stand there, spelled in its one way."""
    found = []
    for fold in (fold_user, fold_domain):
        try:
            name = fold(text)
        except NameRefused:
            continue
        if fold(name) != name:
            raise Fault("folding twice changes a name")
        found.append(name)
    return found


def _names() -> tuple[bytes, ...]:
    return (b"@Alice.w-1", b"chat.example", "bücher.example".encode())


def _addresses() -> tuple[bytes, ...]:
    return (b"localhost:7443", b"[::1]:80", b"example.org", "bücher.example:1".encode())


def _shown(text: str) -> str:
    shown = sanitise(text, multiline=True, limit=4096)
    if sanitise(shown, multiline=True, limit=4096) != shown:
        raise Fault("cleaning twice changes a text")
    return shown


def _texts() -> tuple[bytes, ...]:
    return (
        "hé\u202e\x1b[31m\r\n\u05e9\u05dc\u05d5\u05dd 👩‍👩‍👧 e\u0301\u0301".encode(),
        b"a\tb\nc",
        b"\xff\xfe",
    )


def _content(data: bytes) -> mimi.MimiContent:
    content = mimi.decode(data)
    sanitise(shown_text(content), multiline=True)
    return content


def _contents() -> tuple[bytes, ...]:
    sender, room_uri = scene().alice.uri, scene().world.room.room.decode()
    text = text_message("hello", bytes(16), sender_uri=sender, room_uri=room_uri)
    single = mimi.SinglePart("text/plain", b"x")
    external = mimi.ExternalPart(
        "image/png", "https://x", 1, 2, 1, b"k", b"n", b"", 1, b"h", "a cat", "cat.png"
    )
    parts: tuple[mimi.Part, ...] = (
        mimi.NullPart(),
        external,
        with_thumbnail(external, b"\x89PNG"),
        mimi.MultiPart(0, (single, mimi.MultiPart(2, (single, mimi.NullPart())))),
        mimi.UnknownPart(9, (b"\xa1\x01\x82\x01\xf6",)),
    )
    others = tuple(
        mimi.MimiContent(
            bytes(16),
            part,
            replaces=b"\x01" + bytes(31),
            topic_id=b"t",
            expires=mimi.Expiration(relative=True, time=60),
            in_reply_to=b"\x01" + bytes(31),
            extensions=((3, b"\x81\x01"), ("x", b"\xf6")),
        )
        for part in parts
    )
    return tuple(map(mimi.encode, (text, *others)))


def _thumbnails() -> tuple[bytes, ...]:
    colours = bytes(range(90))
    return (small_png.write(Pixels(6, 5, colours)), small_png.write(Pixels(1, 1, bytes(3))))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """In memory, if it can be: on a disk the writing would be most of the time."""
    memory = "/dev/shm"  # noqa: S108 - it is a folder of our own there
    return tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if Path(memory).is_dir() else None)


def _file(name: str, data: bytes) -> Path:
    file = Path(_folder().name) / name
    if not file.exists():
        file.touch(0o600)
    file.write_bytes(data)
    return file


def _account(file: Path) -> AccountFile:
    return read_account(ProfileFolder(file.parent, "alice"))


def _accounts() -> tuple[bytes, ...]:
    bare = AccountFile(
        version=1,
        user="alice",
        server="localhost:1",
        domain="chat.example",
        salt=bytes(16),
        wrapped_key=bytes(60),
    )
    return tuple(
        msgspec.json.encode(msgspec.structs.replace(each, check=each.checksum()))
        for each in (bare, msgspec.structs.replace(bare, version=2))
    )


def _pinned(file: Path) -> object:
    return Pins(Home(file.parent)).get(ServerAddress())


def _pins() -> tuple[bytes, ...]:
    return (b'{"version":1,"pins":{"localhost:7443":{"identity_key":"AAAA","domain":"chat.example"}}}',)


def _configs() -> tuple[bytes, ...]:
    return (
        b'port = 1\nhost = "::1"\ndata = "x"\n[quotas]\nfree_bytes = 0\n',
        b"[rates]\nx = {burst = 1, per_second = 2}\n",
        b'registration = "open"\ndomain = "Chat.example"\n[connections]\ntotal = 5\n',
    )


TARGETS: Final = (
    Target("credential", _identity, (LeafRefused,), _identities, encode),
    Target("statement", statement.verify_statement, (StatementRefused,), _statements, encode),
    Target("room", room.read_room, (RoomRefused,), _rooms, encode),
    Target("profile", _profile, (), _profiles),
    Target("log-mark", chain.read_mark, (), _marks),
    Target("invite", invite.read_invite, (invite.InviteRefused,), _invites, craft=_text),
    Target("fingerprint", login.parse_fingerprint, (FingerprintRefused,), _fingerprints, craft=_text),
    Target("uri", parse_uri, (NameRefused,), _uris, lambda uri: str(uri).encode()),
    Target("name", _folded, (), _names, craft=_text),
    Target("address", ServerAddress.parse, (BadAddress,), _addresses, craft=_text),
    Target("shown-text", _shown, (), _texts, craft=_text),
    Target("content", _content, (ContentError,), _contents, mimi.encode),
    Target("thumbnail", small_png.read, (), _thumbnails),
    Target(
        "account-file",
        _account,
        (StoreDamaged, StoreTooNew),
        _accounts,
        craft=lambda data: _file("account.json", data),
        buffer=MAX_SMALL_FILE,
    ),
    Target(
        "pins-file",
        _pinned,
        (StoreDamaged,),
        _pins,
        craft=lambda data: _file("pins.json", data),
        buffer=MAX_SMALL_FILE,
    ),
    Target(
        "server-config",
        lambda file: resolve_config({}, file),
        (ConfigError,),
        _configs,
        craft=lambda data: _file("server.toml", data),
        buffer=MAX_SMALL_FILE,
    ),
)
