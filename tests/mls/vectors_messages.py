"""The working group's vectors about encodings, primitives, keys and messages, one function per format.

Each takes one case as the JSON has it and asserts; the conformance runner and pytest both call them.
"""

from typing import Any, Final

from securechat.mls import codec, key_schedule, protection, transcript
from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import Shape, WireStruct, decode, encode, encode_varint, read_varint
from securechat.mls.commit import Commit
from securechat.mls.framing import (
    AuthenticatedContent,
    ContentValue,
    FramedContent,
    GroupSecrets,
    Member,
    MLSMessage,
    PrivateMessage,
    PublicMessage,
    Welcome,
    WireFormat,
    decode_message,
)
from securechat.mls.group_context import GroupContext
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.key_package import KeyPackage, KeyPackageBundle
from securechat.mls.nodes import RATCHET_TREE, Epoch, LeafIndex, ProtocolVersion
from securechat.mls.proposals import (
    PROPOSAL,
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ReInit,
    Remove,
    Update,
)
from securechat.mls.psk import ExternalPsk, PreSharedKeyID, Psk, no_psks, psk_secret
from securechat.mls.secret_tree import Ratchet, SecretTree
from securechat.mls.welcome import group_info_signature_holds, open_welcome

Case = dict[str, Any]

_STRUCTURES: Final[dict[str, type[WireStruct]]] = {
    "mls_welcome": MLSMessage,
    "mls_group_info": MLSMessage,
    "mls_key_package": MLSMessage,
    "group_secrets": GroupSecrets,
    "add_proposal": Add,
    "update_proposal": Update,
    "remove_proposal": Remove,
    "pre_shared_key_proposal": PreSharedKeyProposal,
    "re_init_proposal": ReInit,
    "external_init_proposal": ExternalInit,
    "group_context_extensions_proposal": GroupContextExtensions,
    "commit": Commit,
    "public_message_application": MLSMessage,
    "public_message_proposal": MLSMessage,
    "public_message_commit": MLSMessage,
    "private_message": MLSMessage,
}


def check_messages(case: Case) -> None:
    for name, structure in _STRUCTURES.items():
        data = _hex(case[name])
        assert encode(decode(structure, data)) == data, name
    tree = _hex(case["ratchet_tree"])
    assert RATCHET_TREE.encode(RATCHET_TREE.decode(tree)) == tree


def check_deserialization(case: Case) -> None:
    header = _hex(case["vlbytes_header"])
    assert read_varint(header, 0, len(header)) == (case["length"], len(header))
    assert encode_varint(case["length"]) == header


def check_crypto_basics(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    given = case["ref_hash"]
    assert suite.reference(given["label"], _hex(given["value"])) == _hex(given["out"])
    given = case["expand_with_label"]
    expanded = suite.expand_with_label(
        _hex(given["secret"]), given["label"], _hex(given["context"]), given["length"]
    )
    assert expanded == _hex(given["out"])
    given = case["derive_secret"]
    assert suite.derive_secret(_hex(given["secret"]), given["label"]) == _hex(given["out"])
    given = case["derive_tree_secret"]
    derived = suite.derive_tree_secret(
        _hex(given["secret"]), given["label"], given["generation"], given["length"]
    )
    assert derived == _hex(given["out"])
    _check_signing(suite, case["sign_with_label"])
    _check_encryption(suite, case["encrypt_with_label"])


def _check_signing(suite: CipherSuite, given: Case) -> None:
    signer = suite.signature.load(_hex(given["priv"]))
    assert signer.public == _hex(given["pub"])
    content = _hex(given["content"])
    for signature in (_hex(given["signature"]), signer.sign_with_label(given["label"], content)):
        assert suite.verify_with_label(signer.public, given["label"], content, signature=signature)
        assert not suite.verify_with_label(signer.public, "other", content, signature=signature)


def _check_encryption(suite: CipherSuite, given: Case) -> None:
    label, context, plaintext = given["label"], _hex(given["context"]), _hex(given["plaintext"])
    theirs = HPKECiphertext(_hex(given["kem_output"]), _hex(given["ciphertext"]))
    ours = suite.encrypt_with_label(_hex(given["pub"]), label, context, plaintext)
    for sealed in (theirs, ours):
        assert suite.decrypt_with_label(_hex(given["priv"]), label, context, sealed) == plaintext


def check_key_schedule(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    init_secret = _hex(case["initial_init_secret"])
    for number, given in enumerate(case["epochs"]):
        context = encode(_context(case, suite, given, epoch=number))
        assert context == _hex(given["group_context"])
        epoch = key_schedule.next_epoch(
            suite,
            context,
            init_secret=init_secret,
            commit_secret=_hex(given["commit_secret"]),
            psk_secret=_hex(given["psk_secret"]),
        )
        for name in ("joiner_secret", "welcome_secret", "encryption_secret"):
            assert getattr(epoch, name) == _hex(given[name]), name
        for name in epoch.secrets.__struct_fields__:
            assert getattr(epoch.secrets, name) == _hex(given[name]), name
        external = key_schedule.external_key_pair(suite, epoch.secrets)
        assert external.public == _hex(given["external_pub"])
        asked = given["exporter"]
        exported = key_schedule.export(
            suite, epoch.secrets, asked["label"], _hex(asked["context"]), asked["length"]
        )
        assert exported == _hex(asked["secret"])
        init_secret = epoch.secrets.init_secret


def check_psk_secret(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    psks = [
        Psk(PreSharedKeyID(ExternalPsk(_hex(given["psk_id"])), _hex(given["psk_nonce"])), _hex(given["psk"]))
        for given in case["psks"]
    ]
    assert psk_secret(suite, psks) == _hex(case["psk_secret"])


def check_secret_tree(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    given = case["sender_data"]
    key_and_nonce = protection.sender_data_key(
        suite, _hex(given["sender_data_secret"]), _hex(given["ciphertext"])
    )
    assert key_and_nonce == (_hex(given["key"]), _hex(given["nonce"]))
    width = 1 << (len(case["leaves"]) - 1).bit_length()
    tree = SecretTree(suite, _hex(case["encryption_secret"]), width)
    for leaf, generations in enumerate(case["leaves"]):
        for given in generations:
            for ratchet in Ratchet:
                found = tree.find(LeafIndex(leaf), ratchet, given["generation"])
                name = ratchet.name.lower()
                assert found.key == _hex(given[f"{name}_key"])
                assert found.nonce == _hex(given[f"{name}_nonce"])
                tree.consume(found)
        tree = SecretTree.from_bytes(suite, tree.to_bytes())


def check_transcript_hashes(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    commit = decode(AuthenticatedContent, _hex(case["authenticated_content"]))
    confirmed = transcript.confirmed_transcript_hash(
        suite, interim_before=_hex(case["interim_transcript_hash_before"]), commit=commit
    )
    assert confirmed == _hex(case["confirmed_transcript_hash_after"])
    tag = transcript.confirmation_tag(suite, _hex(case["confirmation_key"]), confirmed=confirmed)
    assert tag == commit.confirmation_tag
    interim = transcript.interim_transcript_hash(suite, confirmed=confirmed, confirmation_tag=tag)
    assert interim == _hex(case["interim_transcript_hash_after"])


_CONTENTS: Final[dict[str, Shape[ContentValue] | None]] = {
    "proposal": Shape(PROPOSAL.annotation),
    "commit": Shape(Commit),
    "application": None,
}


def check_message_protection(case: Case) -> None:
    for name, shape in _CONTENTS.items():
        raw = _hex(case[name])
        content = raw if shape is None else shape.decode(raw)
        if shape is not None:
            _check_public(case, _signed(case, content, WireFormat.PUBLIC_MESSAGE), content)
            _check_public(case, case[f"{name}_pub"], content)
        _check_private(case, case[f"{name}_priv"], content)


def _check_public(case: Case, message: str | AuthenticatedContent, content: ContentValue) -> None:
    suite, context = cipher_suite(case["cipher_suite"]), _protection_context(case)
    membership_key = _hex(case["membership_key"])
    if isinstance(message, AuthenticatedContent):
        public = protection.seal_public(suite, message, membership_key=membership_key, context=context)
    else:
        decoded = decode_message(_hex(message))
        assert isinstance(decoded, PublicMessage)
        public = decoded
    protection.check_membership_tag(suite, public, membership_key=membership_key, context=context)
    _check_signed(case, public.authenticated, content)


def _check_private(case: Case, theirs: str, content: ContentValue) -> None:
    suite, secret = cipher_suite(case["cipher_suite"]), _hex(case["sender_data_secret"])
    signed = _signed(case, content, WireFormat.PRIVATE_MESSAGE)
    tree = SecretTree(suite, _hex(case["encryption_secret"]), 2)
    key = tree.find_next(LeafIndex(1), protection.RATCHETS[signed.content.content_type])
    tree.consume(key)
    ours = protection.seal_private(
        suite, signed, sender_data_secret=secret, key=key, padding=protection.padded_to((256, 1024))
    )
    for message in (ours, decode_message(_hex(theirs))):
        assert isinstance(message, PrivateMessage)
        tree = SecretTree(suite, _hex(case["encryption_secret"]), 2)
        sender = protection.open_sender_data(suite, message, sender_data_secret=secret)
        ratchet = protection.RATCHETS[message.content_type]
        found = tree.find(sender.leaf_index, ratchet, sender.generation)
        _check_signed(case, protection.open_private(suite, message, sender, found), content)


def _signed(case: Case, content: ContentValue, wire_format: WireFormat) -> AuthenticatedContent:
    framed = FramedContent(
        _hex(case["group_id"]), Epoch(case["epoch"]), Member(LeafIndex(1)), b"authenticated", content
    )
    signer = cipher_suite(case["cipher_suite"]).signature.load(_hex(case["signature_priv"]))
    signed = protection.sign(framed, wire_format, context=_protection_context(case), signer=signer)
    return protection.confirmed(signed, b"tag") if isinstance(content, Commit) else signed


def _check_signed(case: Case, message: AuthenticatedContent, content: ContentValue) -> None:
    suite, context = cipher_suite(case["cipher_suite"]), _protection_context(case)
    assert message.content.content == content
    assert message.content.sender == Member(LeafIndex(1))
    public_key = _hex(case["signature_pub"])
    assert protection.signature_holds(suite, message, context=context, public_key=public_key)
    assert not protection.signature_holds(suite, message, context=context + b"0", public_key=public_key)


def _protection_context(case: Case) -> bytes:
    return encode(_context(case, cipher_suite(case["cipher_suite"]), case, epoch=case["epoch"]))


def _context(case: Case, suite: CipherSuite, given: Case, *, epoch: int) -> GroupContext:
    return GroupContext(
        version=ProtocolVersion.MLS10,
        cipher_suite=suite.number,
        group_id=_hex(case["group_id"]),
        epoch=Epoch(epoch),
        tree_hash=_hex(given["tree_hash"]),
        confirmed_transcript_hash=_hex(given["confirmed_transcript_hash"]),
    )


def check_welcome(case: Case) -> None:
    suite = cipher_suite(case["cipher_suite"])
    key_package, welcome = decode_message(_hex(case["key_package"])), decode_message(_hex(case["welcome"]))
    assert isinstance(key_package, KeyPackage)
    assert isinstance(welcome, Welcome)
    bundle = KeyPackageBundle(key_package, _hex(case["init_priv"]), b"")
    opened = open_welcome(welcome, bundle, no_psks)
    assert group_info_signature_holds(opened.group_info, suite, public_key=_hex(case["signer_pub"]))
    context = opened.group_info.group_context
    epoch = key_schedule.epoch_for_joiner(
        suite,
        codec.encode(context),
        joiner_secret=opened.secrets.joiner_secret,
        psk_secret=opened.psk_secret,
    )
    tag = transcript.confirmation_tag(
        suite, epoch.secrets.confirmation_key, confirmed=context.confirmed_transcript_hash
    )
    assert tag == opened.group_info.confirmation_tag


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)
