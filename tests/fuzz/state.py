"""Targets: what MLS reads back from the disk. It may be damaged; that is never more than an error."""

from typing import Final

from securechat.mls.codec import Shape
from securechat.mls.errors import DecodeError, SecretError
from securechat.mls.key_package import KeyPackageBundle
from securechat.mls.nodes import LeafIndex
from securechat.mls.public_group import PublicGroup
from securechat.mls.secret_tree import Ratchet, SecretTree
from securechat.mls.serialization import load, store_epoch, store_secrets
from securechat.mls.snapshot import Snapshot
from securechat.mls.staging import StagedCommit
from securechat.mls.update_path import TreePrivate
from tests.fuzz.judge import Target
from tests.fuzz.mls import BROKEN
from tests.fuzz.scene import SUITE_3, scene

_PARTS: Final = Shape[tuple[bytes, ...]](tuple[bytes, ...])


def _secret_tree(data: bytes) -> SecretTree:
    """It is read, and asked for keys of the first leaves."""
    tree = SecretTree.from_bytes(SUITE_3, data)
    for leaf in (0, 1, 5):
        try:
            tree.find_next(LeafIndex(leaf), Ratchet.APPLICATION)
        except SecretError:
            continue
    return tree


def _parts(data: bytes) -> Snapshot:
    """The epoch and the message secrets, each as opaque<V>."""
    parts = _PARTS.decode(data)
    if len(parts) != 2:
        raise DecodeError("two parts")
    return load(*parts)


def _as_parts(snapshot: Snapshot) -> bytes:
    epoch = store_epoch(snapshot, tree=snapshot.state.public.tree.to_bytes())
    return _PARTS.encode((epoch, store_secrets(snapshot)))


def _groups() -> tuple[bytes, ...]:
    seen = scene()
    return tuple(
        _PARTS.encode((group.epoch_bytes(), group.secrets_bytes())) for group in (seen.ours, seen.theirs)
    )


def _secret_trees() -> tuple[bytes, ...]:
    groups = (scene().ours, scene().theirs)
    return tuple(group._now.secrets.to_bytes() for group in groups)


def _staged(data: bytes) -> StagedCommit:
    return StagedCommit.from_bytes(data, scene().ours.public)


TARGETS: Final = (
    Target(
        "stored-bundle",
        KeyPackageBundle.from_bytes,
        (DecodeError,),
        lambda: (scene().erins.to_bytes(),),
        KeyPackageBundle.to_bytes,
    ),
    Target(
        "stored-private",
        TreePrivate.from_bytes,
        (DecodeError,),
        lambda: (scene().ours.state.private.to_bytes(),),
        TreePrivate.to_bytes,
        canonical=False,
    ),
    Target(
        "stored-secrets", _secret_tree, (DecodeError,), _secret_trees, SecretTree.to_bytes, canonical=False
    ),
    Target(
        "stored-public",
        PublicGroup.from_bytes,
        (DecodeError,),
        lambda: (scene().ours.public.to_bytes(),),
        PublicGroup.to_bytes,
    ),
    Target("stored-group", _parts, (DecodeError,), _groups, _as_parts, canonical=False),
    Target("stored-commit", _staged, BROKEN, lambda: (scene().staged, scene().external)),
)
