"""Messaging Layer Security (RFC 9420): end-to-end encryption for groups. No I/O, no clock, no log.

This is the public face, small on purpose; ``docs/mls.md`` opens with an example and says where
each clause is. Bytes in and out are MLSMessages. Everything but :class:`Group` is a value.
What comes as bytes beside a group, a KeyPackage or a GroupInfo, is read by ``decode_message``; ours
goes by ``encode_message``.

=============  =========================================================================
who am I       Identity, BasicCredential, Capabilities, make_key_package (sections 5.3, 7.2, 10)
who is that    check_key_package, check_lifetime: what who adds, and a directory, asks (7.3, 10.1)
a group        Group: create, join, join_externally, stage_commit, examine, process, merge,
               propose, accept, encrypt, decrypt, export (sections 11, 12, 15, 8.5)
what a commit  CommitPlan in, StagedCommit and CommitFacts out; ReceivedCommit is another's (12.4)
going on       reinitialise, branch (11.2, 11.3)
from outside   PublicGroup follows without secrets; propose_externally, propose_joining (12.1.8)
what is wrong  MLSError and below; ``rule`` and ``clause`` of a RuleError name what was broken
=============  =========================================================================
"""

from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID, SUITES, CipherSuite, cipher_suite
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.continuing import Continuation, branch, reinitialise
from securechat.mls.credential import BasicCredential, X509Credential
from securechat.mls.errors import (
    DecodeError,
    MLSError,
    RuleError,
    SecretError,
    StaleEpoch,
    UsageError,
    ValidationError,
    WrongGroup,
)
from securechat.mls.examining import ExaminedApplication, ExaminedCommit, ExaminedProposal
from securechat.mls.extensions import (
    Extension,
    ExtensionType,
    ExternalSender,
    RequiredCapabilities,
    extension_of,
)
from securechat.mls.framing import GroupInfo, decode_message, encode_message
from securechat.mls.group import Group, Joined
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle, make_key_package
from securechat.mls.messaging import DecryptedMessage
from securechat.mls.nodes import Capabilities, LeafIndex, LeafNode, Lifetime
from securechat.mls.outside import allow_senders, propose_externally, propose_joining
from securechat.mls.processing import ReceivedCommit
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    ReInit,
    Remove,
    SelfRemove,
)
from securechat.mls.psk import ExternalPsk, ResumptionPsk, ResumptionPSKUsage, fresh_psk
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.signature import SigningKey
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.mls.validation import check_key_package, check_lifetime, check_lifetime_span

__all__ = [
    "SUITES",
    "SUITE_3",
    "SUITE_HYBRID",
    "Add",
    "BasicCredential",
    "Capabilities",
    "CipherSuite",
    "CommitFacts",
    "CommitPlan",
    "Continuation",
    "DecodeError",
    "DecryptedMessage",
    "ExaminedApplication",
    "ExaminedCommit",
    "ExaminedProposal",
    "Extension",
    "ExtensionType",
    "ExternalPsk",
    "ExternalSender",
    "Group",
    "GroupContextExtensions",
    "GroupInfo",
    "Identity",
    "Joined",
    "KeyPackage",
    "KeyPackageBundle",
    "LeafIndex",
    "LeafNode",
    "Lifetime",
    "MLSError",
    "PreSharedKeyProposal",
    "ProposalValue",
    "PublicGroup",
    "RatchetTree",
    "ReInit",
    "ReceivedCommit",
    "Remove",
    "RequiredCapabilities",
    "ResumptionPSKUsage",
    "ResumptionPsk",
    "RuleError",
    "SecretError",
    "SelfRemove",
    "SigningKey",
    "StagedCommit",
    "StaleEpoch",
    "UsageError",
    "ValidationError",
    "VerifiedCommit",
    "WrongGroup",
    "X509Credential",
    "allow_senders",
    "branch",
    "check_key_package",
    "check_lifetime",
    "check_lifetime_span",
    "cipher_suite",
    "decode_message",
    "encode_message",
    "extension_of",
    "fresh_psk",
    "make_key_package",
    "propose_externally",
    "propose_joining",
    "reinitialise",
]
