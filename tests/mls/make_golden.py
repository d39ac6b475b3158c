"""Freeze golden bytes: ``python -m tests.mls.make_golden`` writes the files under ``golden``.

They are made by our own code, in the working group's formats, when all official vectors pass. With
a seeded source of randomness the same bytes come out every time; a test holds us to that, so an
encoding or derivation that changes is seen even where the official vectors are absent.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from securechat.mls import key_schedule
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import encode
from securechat.mls.extensions import Extension
from securechat.mls.framing import encode_message
from securechat.mls.group import Group
from securechat.mls.group_context import GroupContext
from securechat.mls.key_package import KeyPackageBundle
from securechat.mls.nodes import Epoch, LeafIndex
from securechat.mls.proposals import GroupContextExtensions
from securechat.mls.psk import ExternalPsk, ResumptionPsk
from securechat.mls.randomness import RandomSource, drawn_from
from securechat.mls.secret_tree import Ratchet, SecretTree
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.mls.people import accept, bundle_of, group_of, identity, received
from tests.mls.vector_files import GOLDEN

Case = dict[str, Any]


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, content in golden_files().items():
        (GOLDEN / name).write_text(content, encoding="ascii")


def golden_files() -> dict[str, str]:
    """Return each golden file's name and text."""
    return {name: json.dumps([_seeded(name, make)], indent=1) + "\n" for name, make in MAKERS.items()}


def _seeded(name: str, make: Callable[[], Case]) -> Case:
    with drawn_from(_stream(name.encode())):
        return make()


def _stream(seed: bytes) -> RandomSource:
    count = 0

    def source(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(seed + count.to_bytes(8, "big")).digest(length)

    return source


def _key_schedule() -> Case:
    chosen = _stream(b"chosen")
    case: Case = {"cipher_suite": 3, "group_id": b"golden".hex(), "initial_init_secret": chosen(32).hex()}
    init_secret, case["epochs"] = bytes.fromhex(case["initial_init_secret"]), []
    for number in range(3):
        tree_hash, transcript, commit_secret, psk_secret = (chosen(32) for _ in range(4))
        context = GroupContext(1, 3, b"golden", Epoch(number), tree_hash, transcript)
        epoch = key_schedule.next_epoch(
            SUITE_3,
            encode(context),
            init_secret=init_secret,
            commit_secret=commit_secret,
            psk_secret=psk_secret,
        )
        secrets = epoch.secrets
        exported = key_schedule.export(SUITE_3, secrets, "golden", b"context", 40)
        given = {
            "tree_hash": tree_hash,
            "commit_secret": commit_secret,
            "psk_secret": psk_secret,
            "confirmed_transcript_hash": transcript,
            "group_context": encode(context),
            "joiner_secret": epoch.joiner_secret,
            "welcome_secret": epoch.welcome_secret,
            "encryption_secret": epoch.encryption_secret,
            "external_pub": key_schedule.external_key_pair(SUITE_3, secrets).public,
            **{name: getattr(secrets, name) for name in secrets.__struct_fields__},
        }
        entry: Case = {name: value.hex() for name, value in given.items()}
        entry["exporter"] = {
            "label": "golden",
            "context": b"context".hex(),
            "length": 40,
            "secret": exported.hex(),
        }
        case["epochs"].append(entry)
        init_secret = secrets.init_secret
    return case


def _secret_tree() -> Case:
    chosen = _stream(b"chosen")
    secret, sender_data_secret, ciphertext = chosen(32), chosen(32), chosen(77)
    sample = ciphertext[:32]
    tree = SecretTree(SUITE_3, secret, 4)
    leaves = []
    for leaf in range(4):
        generations = []
        for generation in (0, 15):
            entry: Case = {"generation": generation}
            for ratchet in Ratchet:
                found = tree.find(LeafIndex(leaf), ratchet, generation)
                entry[f"{ratchet.name.lower()}_key"] = found.key.hex()
                entry[f"{ratchet.name.lower()}_nonce"] = found.nonce.hex()
            generations.append(entry)
        leaves.append(generations)
    return {
        "cipher_suite": 3,
        "sender_data": {
            "sender_data_secret": sender_data_secret.hex(),
            "ciphertext": ciphertext.hex(),
            "key": SUITE_3.expand_with_label(sender_data_secret, "key", sample, 32).hex(),
            "nonce": SUITE_3.expand_with_label(sender_data_secret, "nonce", sample, 12).hex(),
        },
        "encryption_secret": secret.hex(),
        "leaves": leaves,
    }


class _Recorder:
    """Writes down what a passive client would see."""

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups
        self.epochs: list[Case] = []

    def commit(
        self, committer: Group, plan: CommitPlan, proposals: tuple[bytes, ...] = (), psk: bytes | None = None
    ) -> StagedCommit:
        for message in proposals:
            accept(message, self.groups)
        staged = committer.stage_commit(plan, psks=lambda _: psk)
        for group in self.groups:
            group.merge(staged if group is committer else received(group, staged.message, lambda _: psk))
        self.note(staged.message, committer, proposals)
        return staged

    def note(self, commit: bytes, witness: Group, proposals: tuple[bytes, ...] = ()) -> None:
        self.epochs.append(
            {
                "proposals": [message.hex() for message in proposals],
                "commit": commit.hex(),
                "epoch_authenticator": witness.epoch_authenticator.hex(),
            }
        )


def _passive_client() -> Case:
    alice, bob, carol, dave = group_of("alice", "bob", "carol", "dave", group_id=b"golden")
    passive = identity("passive")
    bundle = bundle_of(passive)
    everybody = _Recorder([alice, bob, carol, dave])
    name: ExternalPsk | ResumptionPsk = ExternalPsk(b"shared")
    welcome = everybody.commit(
        alice,
        CommitPlan(add=(bundle.key_package,), psks=(name,), force_path=True),
        psk=b"over tea",
    ).welcome
    assert welcome is not None
    tree, first = alice.tree_bytes(), alice.epoch_authenticator
    everybody.epochs.clear()
    _history(everybody, alice, bob, carol, dave)
    return {
        "cipher_suite": 3,
        "external_psks": [{"psk_id": b"shared".hex(), "psk": b"over tea".hex()}],
        "key_package": encode_message(bundle.key_package).hex(),
        "signature_priv": passive.signature_key.private.hex(),
        **_private(bundle),
        "welcome": welcome.hex(),
        "ratchet_tree": tree.hex(),
        "initial_epoch_authenticator": first.hex(),
        "epochs": everybody.epochs,
    }


def _private(bundle: KeyPackageBundle) -> Case:
    return {"encryption_priv": bundle.encryption_key.hex(), "init_priv": bundle.init_key.hex()}


def _history(everybody: _Recorder, alice: Group, bob: Group, carol: Group, dave: Group) -> None:
    everybody.commit(bob, CommitPlan(update=True))
    everybody.commit(alice, CommitPlan(), (carol.propose_update(), bob.propose_update()))
    everybody.commit(carol, CommitPlan(psks=(ExternalPsk(b"shared"),)), psk=b"over tea")
    extensions = GroupContextExtensions((Extension(0xF001, b"policy"),))
    everybody.commit(dave, CommitPlan(), (alice.propose(extensions),))
    everybody.commit(alice, CommitPlan(remove=(bob.own_leaf,)))
    everybody.groups.remove(bob)
    everybody.commit(carol, CommitPlan(), (dave.propose_self_remove(),))
    everybody.groups.remove(dave)
    erin = bundle_of(identity("erin"))
    everybody.commit(carol, CommitPlan(add=(erin.key_package,)))
    staged = Group.join_externally(
        alice.group_info(), alice.tree_bytes(), carol.identity, remove=carol.own_leaf
    )
    alice.merge(received(alice, staged.message))
    everybody.note(staged.message, alice)
    everybody.groups[:] = [alice, Group.from_staged(staged, carol.identity)]
    everybody.commit(everybody.groups[1], CommitPlan(update=True))


MAKERS: Final = {
    "key-schedule.json": _key_schedule,
    "passive-client.json": _passive_client,
    "secret-tree.json": _secret_tree,
}


if __name__ == "__main__":
    main()
