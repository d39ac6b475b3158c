"""The working group's passive client scenarios: joining by a Welcome and following every epoch."""

from typing import Any, Final

from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.framing import decode_message
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle
from securechat.mls.psk import ExternalPsk, PskSource, ResumptionPsk

Case = dict[str, Any]

STORE_EVERY: Final = 7
"""After so many epochs the client is stored and read back, as it would be at a restart."""


def check_passive_client(case: Case) -> None:
    group, identity = _joined(case)
    assert group.epoch_authenticator == _hex(case["initial_epoch_authenticator"])
    psks = _psks(case)
    for number, epoch in enumerate(case["epochs"]):
        for message in epoch["proposals"]:
            proposal = group.examine(_hex(message))
            assert isinstance(proposal, ExaminedProposal)
            group.accept(proposal)
        if number % STORE_EVERY == 0:
            group = Group.from_bytes(group.epoch_bytes(), group.secrets_bytes(), group.identity)
        commit = group.examine(_hex(epoch["commit"]))
        assert isinstance(commit, ExaminedCommit)
        group.merge(group.process(commit, psks=psks))
        assert group.epoch_authenticator == _hex(epoch["epoch_authenticator"])
    assert group.identity.signature_key == identity.signature_key


def _joined(case: Case) -> tuple[Group, Identity]:
    suite = cipher_suite(case["cipher_suite"])
    key_package = decode_message(_hex(case["key_package"]))
    assert isinstance(key_package, KeyPackage)
    leaf = key_package.leaf_node
    identity = Identity(
        credential=leaf.credential,
        signature_key=suite.signature.load(_hex(case["signature_priv"])),
        capabilities=leaf.capabilities,
        leaf_extensions=leaf.extensions,
    )
    assert identity.signature_key.public == leaf.signature_key
    assert suite.kem.public_key(_hex(case["encryption_priv"])) == leaf.encryption_key
    assert suite.kem.public_key(_hex(case["init_priv"])) == key_package.init_key
    bundle = KeyPackageBundle(key_package, _hex(case["init_priv"]), _hex(case["encryption_priv"]))
    tree = case.get("ratchet_tree")
    joined = Group.join(
        _hex(case["welcome"]),
        bundle,
        identity,
        tree=None if tree is None else _hex(tree),
        psks=_psks(case),
    )
    return joined.group, identity


def _psks(case: Case) -> PskSource:
    known = {_hex(psk["psk_id"]): _hex(psk["psk"]) for psk in case.get("external_psks", ())}

    def source(name: ExternalPsk | ResumptionPsk) -> bytes | None:
        return known.get(name.psk_id) if isinstance(name, ExternalPsk) else None

    return source


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)
