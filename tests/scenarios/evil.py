"""What a server that lies can do: hooks into the real one."""

import time

import apsw
import msgspec
import pytest

from securechat.membership.identity import ClientCredential, make_client_credential, read_client_credential
from securechat.membership.room import PRODUCT_SUITES, capabilities
from securechat.membership.signing import new_key, public_of
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.codec import decode, encode
from securechat.mls.credential import BasicCredential
from securechat.mls.framing import PublicMessage, decode_message
from securechat.mls.key_package import Identity, make_key_package
from securechat.mls.nodes import LeafNode, Lifetime
from securechat.protocol.messages import ClaimedKeyPackage, ClaimedKeyPackages, Entry
from securechat.protocol.server_connection import Requested
from securechat.server import delivery, directory, ordering
from securechat.server.session import Session as ServerSession


class Flipped:
    """Flips a bit in the last byte of log entries of one kind, while ``on``.

    In a member's commit that is its membership tag, which no hash of the group covers. Who enters from
    outside has none: the last bytes are the confirmation tag there, everybody sees that it is not the one
    of the GroupInfo, and an honest server lets no such commit through. Those stay whole.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.on = False
        self.flipped = 0
        self._kind = kind
        monkeypatch.setattr(delivery if kind == "message" else ordering, "Entry", self._entry)

    def _entry(self, *fields: object, **named: object) -> Entry:
        given = dict(zip(Entry.__struct_fields__, fields, strict=False))
        entry = msgspec.convert(given | named, Entry)
        if not self.on or entry.kind != self._kind or not entry.body or _is_from_outside(entry):
            return entry
        self.flipped += 1
        return msgspec.structs.replace(entry, body=entry.body[:-1] + bytes([entry.body[-1] ^ 1]))


def _is_from_outside(entry: Entry) -> bool:
    if entry.kind != "commit":
        return False
    body = decode_message(entry.body)
    return isinstance(body, PublicMessage) and body.membership_tag is None


def forged_key_package(
    domain: str, user: str, client: str, *, claims: bytes | None = None, now: int | None = None
) -> bytes:
    """A key package of ``user`` that only the server made.

    :param claims: the account key it pretends to be certified by; None: one of the server's own,
        which then really signs it
    """
    account_key, device_key = new_key(), new_key()
    identity = make_client_credential(
        domain=domain,
        user=user,
        client=client,
        account_key=account_key,
        signature_key_public=public_of(device_key),
        suites=PRODUCT_SUITES,
    )
    if claims is not None:
        honest = decode(ClientCredential, identity)
        identity = encode(msgspec.structs.replace(honest, account_key=claims))
    signer = SUITE_HYBRID.signature.load(device_key.private_bytes_raw())
    now = int(time.time()) if now is None else now
    bundle = make_key_package(
        Identity(BasicCredential(identity), signer, capabilities()),
        SUITE_HYBRID,
        lifetime=Lifetime(now - 60, now + 30 * 86_400),
    )
    return encode(bundle.key_package)


def known_by_name(db: apsw.Connection, leaf: LeafNode) -> int | None:
    """What a server that looks away from keys still needs to deliver to somebody."""
    name = read_client_credential(leaf).client_id
    found = db.execute("SELECT id FROM client WHERE name = ?", (name,)).fetchone()
    return None if found is None else found[0]


class LyingDirectory:
    """Puts devices of the server's own into what it says of a user."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.added: dict[str, list[ClaimedKeyPackage]] = {}
        self.instead: dict[str, list[ClaimedKeyPackage]] = {}
        monkeypatch.setattr(directory, "ClaimedKeyPackages", self._answer)

    def _answer(self, user: str, packages: list[ClaimedKeyPackage]) -> ClaimedKeyPackages:
        return ClaimedKeyPackages(user, self.instead.get(user, packages) + self.added.get(user, []))


class CutLines:
    """Cuts connections at the worst moments: after deciding, before answering; and amid what it pushes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers_to_lose = 0
        self.pushes_to_break = 0
        self.seen: dict[tuple[str, int], list[bytes]] = {}
        decided, deliver, take = ServerSession.decided, ServerSession.deliver, ServerSession._take_request

        def lose(session: ServerSession, request_id: int, answer: bytes) -> None:
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                session._pump.abort()
            else:
                decided(session, request_id, answer)

        def push(session: ServerSession, frame: bytes) -> None:
            deliver(session, frame)
            if self.pushes_to_break:
                self.pushes_to_break -= 1
                session._flush()
                session._pump.abort()

        def note(session: ServerSession, requested: Requested) -> None:
            if requested.name and session._caller is not None:
                key = (session._caller.user, requested.name)
                self.seen.setdefault(key, []).append(bytes(requested.raw))
            take(session, requested)

        monkeypatch.setattr(ServerSession, "decided", lose)
        monkeypatch.setattr(ServerSession, "deliver", push)
        monkeypatch.setattr(ServerSession, "_take_request", note)
