"""Targets: what a member could send that the others open, tags, seals and signatures being true.

The fuzzer's bytes are what lies inside; signing or sealing them is not part of what is measured.
"""

from functools import cache
from typing import Final

import msgspec

from securechat.mls import protection
from securechat.mls.codec import Shape, decode, encode, encode_before, encode_opaque
from securechat.mls.commit import Commit, UpdatePath
from securechat.mls.errors import DecodeError, UsageError
from securechat.mls.examining import ExaminedApplication, ExaminedCommit
from securechat.mls.framing import (
    Content,
    ContentType,
    ContentValue,
    EncryptedGroupSecrets,
    FramedContent,
    GroupInfo,
    GroupSecrets,
    PrivateMessage,
    PublicMessage,
    SenderData,
    Welcome,
    WireFormat,
    content_type,
    decode_message,
    encode_message,
)
from securechat.mls.group import Group
from securechat.mls.key_schedule import welcome_secret
from securechat.mls.nodes import sign_leaf_node
from securechat.mls.proposals import Remove, SelfRemove
from securechat.mls.psk import no_psks
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import MessageKey
from securechat.mls.welcome import open_welcome, sign_group_info
from tests.fuzz.judge import NotCraftable, Target
from tests.fuzz.mls import BROKEN, messages
from tests.fuzz.scene import SUITE_3, scene, seeded
from tests.mls.forge import Forger

CONTENT: Final = Shape[ContentValue](Content)

_LENGTH: Final = 2
"""Bytes before the group secrets of a crafted Welcome; what follows them is its GroupInfo."""


def _forger() -> Forger:
    return Forger(scene().ours)


def _said(data: bytes) -> bytes:
    """A content by alice, signed and tagged; a commit's leaf is signed too."""
    try:
        framed = decode(FramedContent, data)
        content = framed.content
        if isinstance(content, Commit) and content.path is not None:
            content = msgspec.structs.replace(content, path=_signed_path(content))
        return _forger().public(content, sender=framed.sender)
    except (DecodeError, UsageError):
        raise NotCraftable from None


def _signed_path(commit: Commit) -> UpdatePath:
    ours, path = scene().ours, commit.path
    assert path is not None
    signer = ours.identity.signature_key
    leaf = msgspec.structs.replace(path.leaf_node, signature_key=signer.public)
    group_id = ours.public.context.group_id
    signed = sign_leaf_node(leaf, signer, group_id=group_id, leaf_index=ours.own_leaf)
    return msgspec.structs.replace(path, leaf_node=signed)


def _contents() -> tuple[bytes, ...]:
    found = map(decode_message, messages())
    return tuple(encode(body.content) for body in found if isinstance(body, PublicMessage))


def _heard(message: bytes) -> object:
    """As bob takes what alice sent; nothing is merged."""
    theirs = scene().theirs
    examined = theirs.examine(message)
    if isinstance(examined, ExaminedCommit):
        return theirs.process(examined)
    if isinstance(examined, ExaminedApplication):
        return theirs.decrypt(message)
    return examined


@cache
def _key(kind: ContentType) -> MessageKey:
    return _forger().secrets().find_next(scene().ours.own_leaf, protection.RATCHETS[kind])


def _sealed(data: bytes) -> bytes:
    """A PrivateMessage of alice: the first byte says of which kind, the others are what it seals."""
    if not data:
        raise NotCraftable
    kind = ContentType(1 + data[0] % 3)
    ours, key, guard = scene().ours, _key(kind), bytes(4)
    bare = PrivateMessage(ours.public.context.group_id, ours.public.context.epoch, kind, bytes(20), b"", b"")
    ciphertext = SUITE_3.aead.seal(
        key.key, key.nonce, data[1:], aad=encode_before(bare, "encrypted_sender_data")
    )
    message = msgspec.structs.replace(bare, ciphertext=ciphertext)
    sender = SenderData(ours.own_leaf, key.generation, guard)
    return encode_message(_forger().with_sender_data(message, sender))


def _sealable() -> tuple[bytes, ...]:
    """The insides of an application message, a proposal and a commit, rightly signed."""
    ours = scene().ours
    contents: tuple[ContentValue, ...] = (b"hello", SelfRemove(), Remove(ours.own_leaf), Commit((), None))
    return tuple(bytes([content_type(content) - 1]) + _inside(content) for content in contents)


def _inside(content: ContentValue) -> bytes:
    signed = _forger().sign(content, wire_format=WireFormat.PRIVATE_MESSAGE, authenticated_data=bytes(20))
    tag = b"\x20" + bytes(32) if isinstance(content, Commit) else b""
    return CONTENT.encode(content)[1:] + encode_opaque(signed.signature) + tag


def _welcomed(data: bytes) -> bytes:
    """A Welcome for erin, its GroupInfo signed by alice."""
    length = int.from_bytes(data[:_LENGTH])
    secrets, inside = data[_LENGTH : _LENGTH + length], data[_LENGTH + length :]
    suite, erins = SUITE_3, scene().erins
    joiner_secret = bytes(32)
    try:
        joiner_secret = decode(GroupSecrets, secrets).joiner_secret
        inside = encode(sign_group_info(decode(GroupInfo, inside), scene().ours.identity.signature_key))
    except DecodeError:
        pass  # then these are what is found out
    secret = welcome_secret(suite, joiner_secret=joiner_secret, psk_secret=bytes(suite.hash_length))
    key, nonce = (
        suite.expand_with_label(secret, label, b"", length)
        for label, length in (("key", suite.aead.key_length), ("nonce", suite.aead.nonce_length))
    )
    sealed_info = suite.aead.seal(key, nonce, inside, aad=b"")
    public = erins.key_package.init_key
    sealed = seeded(b"welcome", lambda: suite.encrypt_with_label(public, "Welcome", sealed_info, secrets))
    return encode_message(
        Welcome(suite.number, (EncryptedGroupSecrets(erins.reference, sealed),), sealed_info)
    )


def _welcomes() -> tuple[bytes, ...]:
    welcome = decode_message(scene().welcome)
    assert isinstance(welcome, Welcome)
    opened = open_welcome(welcome, scene().erins, no_psks)
    secrets = encode(opened.secrets)
    return (len(secrets).to_bytes(_LENGTH) + secrets + encode(opened.group_info),)


def _joined(data: bytes) -> Group:
    seen = scene()
    return Group.join(data, seen.erins, seen.erin.identity, tree=seen.tree).group


def _described(data: bytes) -> bytes:
    """A GroupInfo signed by alice."""
    try:
        info = decode(GroupInfo, data)
    except DecodeError:
        raise NotCraftable from None
    return encode_message(sign_group_info(info, scene().ours.identity.signature_key))


def _entered(data: bytes) -> object:
    """As somebody takes it who joins by an external commit."""
    seen = scene()
    info = decode_message(data)
    assert isinstance(info, GroupInfo)
    PublicGroup.from_group_info(info, RatchetTree.from_bytes(SUITE_3, seen.tree))
    return seeded(b"enter", lambda: Group.join_externally(data, seen.tree, seen.dave.identity))


def _described_seeds() -> tuple[bytes, ...]:
    info = decode_message(scene().group_info)
    assert isinstance(info, GroupInfo)
    return (encode(info),)


TARGETS: Final = (
    Target("said-inside", _heard, BROKEN, _contents, craft=_said),
    Target("sealed-inside", _heard, BROKEN, _sealable, craft=_sealed),
    Target("welcome-inside", _joined, BROKEN, _welcomes, craft=_welcomed),
    Target("group-info-inside", _entered, BROKEN, _described_seeds, craft=_described),
)
