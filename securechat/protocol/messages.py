"""What client and server say: one frozen Struct per frame, request, answer and push.

The wire is msgpack in map form; the field ``type`` is the tag. Unknown fields are ignored,
unknown tags and bad types end the connection (`frames.py` makes one error of them).
The law, field by field, is docs/protocol.md; limits are in `limits.py`.

Two numbers travel with a request. ``id`` belongs to the connection: it rises by one and the
answer carries it back. ``name`` belongs to the client for ever: it rises by one with every
request that changes something, is decided together with the change in one transaction, and
makes a repeat harmless (same name and bytes: same answer; same name, other bytes: conflict).
Requests that change nothing have name 0.

``gc=False``: a frozen value that holds only such values is in no cycle, so the collector need not
visit the thousands that are under way; without it every fifth microsecond of a server is its.
"""

from typing import Annotated, Final, get_args

from msgspec import Meta, Raw, Struct

from securechat.protocol.limits import (
    MAX_AUDITED,
    MAX_BLOB,
    MAX_BODY,
    MAX_BOX,
    MAX_CHANGED,
    MAX_CHUNK,
    MAX_CLIENTS_PER_USER,
    MAX_ENTRIES,
    MAX_FILE,
    MAX_KEY_PACKAGE,
    MAX_KEY_PACKAGES,
    MAX_LINK,
    MAX_LOG_BEGUN,
    MAX_LOG_PROOF,
    MAX_LOG_SEARCH,
    MAX_STATEMENT,
    MAX_STATEMENTS,
    MAX_TREE_HEAD,
    MAX_UNREAD,
    MAX_VAULT,
)

UInt64 = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""Counters, sequences, epochs and seconds since 1970: what an SQLite integer holds."""

UserName = Annotated[str, Meta(min_length=1, max_length=32)]
"""The local part of a user, folded (names.py holds the grammar)."""

ClientId = Annotated[str, Meta(min_length=16, max_length=32, pattern=r"^[a-z0-9]+$")]
"""The local part of a client's URI, chosen at random by the client."""

GroupId = Annotated[bytes, Meta(min_length=16, max_length=64)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Nonce = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Salt = Annotated[bytes, Meta(min_length=16, max_length=16)]
UploadId = Annotated[bytes, Meta(min_length=16, max_length=16)]
BlobName = Annotated[bytes, Meta(min_length=32, max_length=32)]
FileId = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An attachment's: drawn at random by who uploads it. To know it is the right to read it."""
SmallBytes = Annotated[bytes, Meta(max_length=2048)]
StatementBytes = Annotated[bytes, Meta(max_length=MAX_STATEMENT)]
"""An AccountStatement, encoded (membership/statement.py)."""
VaultBytes = Annotated[bytes, Meta(max_length=MAX_VAULT)]
"""A Vault, encoded (membership/vault.py); empty: none."""
LinkId = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""A request of a new device to be linked; drawn by the server."""
DeviceName = Annotated[str, Meta(min_length=1, max_length=32)]
"""What a person calls a device; on a screen only after the sanitiser."""
BoxName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9.-]+$")]
KeyPackageBytes = Annotated[bytes, Meta(max_length=MAX_KEY_PACKAGE)]
Suite = Annotated[int, Meta(ge=1, le=0xFFFF)]
"""A cipher suite of MLS (RFC 9420 section 17.1)."""

Run = tuple[UInt64, UInt64]
"""The first and the last of places that follow each other in a log."""

Label = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=512)]


class Carried(Struct, frozen=True, gc=False, omit_defaults=True):
    """Sealed bytes of any size: inside the frame, or a blob by its SHA-256.

    Exactly one of ``body`` and ``blob`` is set; ``size`` is the blob's length.
    """

    body: Annotated[bytes, Meta(max_length=MAX_BODY)] = b""
    blob: Annotated[bytes, Meta(max_length=32)] = b""
    size: Annotated[int, Meta(ge=0, le=MAX_BLOB)] = 0


# --- requests before login -----------------------------------------------------------------------


class PasswordParameters(Struct, frozen=True, gc=False, tag="password_parameters"):
    """Ask with which salt a user's password is stretched. Unknown users get an answer too."""

    user: UserName


class Register(Struct, frozen=True, gc=False, tag="register"):
    """Make an account with its first client. Repeated with the same keys it is answered the same."""

    user: UserName
    client: ClientId
    salt: Salt
    login_key: PublicKey
    account_key: PublicKey
    device_key: PublicKey
    credential: SmallBytes
    statement: SmallBytes
    client_nonce: Nonce
    login_signature: Signature
    device_signature: Signature
    invite: Label = ""
    vault: VaultBytes = b""
    recovery_key: PublicKey | None = None

    def __repr__(self) -> str:
        return f"Register(user={self.user!r}, ...)"  # an invite opens doors, and the server keeps hashes only


class LogInWithPassword(Struct, frozen=True, gc=False, tag="log_in_with_password"):
    """Prove the password: the login key and its signature over LoginTBS (rules.md B)."""

    user: UserName
    login_key: PublicKey
    client_nonce: Nonce
    signature: Signature

    def __repr__(self) -> str:
        return f"LogInWithPassword(user={self.user!r}, ...)"  # the server keeps a hash of the key only


class LogIn(Struct, frozen=True, gc=False, tag="log_in"):
    """Prove a known client: the device key's signature over LoginTBS. No Argon2."""

    user: UserName
    client: ClientId
    client_nonce: Nonce
    signature: Signature


class LogInForRecovery(Struct, frozen=True, gc=False, tag="log_in_for_recovery"):
    """Prove the recovery key: the signature of the login key in it over LoginTBS, with an empty client."""

    user: UserName
    client_nonce: Nonce
    signature: Signature


# --- requests after login ------------------------------------------------------------------------


class Ping(Struct, frozen=True, gc=False, tag="ping"):
    """Say that one is alive."""


class GetAccount(Struct, frozen=True, gc=False, tag="get_account"):
    user: UserName


class GetStatements(Struct, frozen=True, gc=False, tag="get_statements"):
    """Read an account's statements after a serial, the oldest first; also one's own."""

    user: UserName
    after: UInt64 = 0


class GetChangedAccounts(Struct, frozen=True, gc=False, tag="get_changed_accounts"):
    """Ask which accounts have a new statement since a place in the order of all of them (0: ever).

    Told of are one's own and those of who shares a group with the client.
    """

    after: UInt64 = 0


class GetDevices(Struct, frozen=True, gc=False, tag="get_devices"):
    """Read the devices of one's own account."""


class AddedDevice(Struct, frozen=True, gc=False):
    """A device that an account gains; ``credential`` is its certificate."""

    client: ClientId
    device_key: PublicKey
    credential: SmallBytes


class Reissued(Struct, frozen=True, gc=False):
    """A new certificate of a device that stays."""

    client: ClientId
    credential: SmallBytes


class NewLogin(Struct, frozen=True, gc=False):
    """What a new password makes: as in `Register`."""

    salt: Salt
    login_key: PublicKey

    def __repr__(self) -> str:
        return "NewLogin(...)"  # the server keeps a hash of the key only


class ChangeAccount(Struct, frozen=True, gc=False, omit_defaults=True, tag="change_account"):
    """Put the account's next statement in force, with all that follows from it, or nothing.

    It has no name: the statement names the one before it, so a repeat finds itself done. ``vault``
    comes exactly when the statement's vault serial rises; ``recovery_key`` and ``login`` replace.
    """

    statement: StatementBytes
    added: Annotated[list[AddedDevice], Meta(max_length=MAX_CLIENTS_PER_USER)] = []
    reissued: Annotated[list[Reissued], Meta(max_length=MAX_CLIENTS_PER_USER)] = []
    vault: Annotated[bytes, Meta(max_length=MAX_VAULT)] = b""
    recovery_key: PublicKey | None = None
    login: NewLogin | None = None


class OfferStatements(Struct, frozen=True, gc=False, omit_defaults=True, tag="offer_statements"):
    """Put statements in force again that a server had and that the copy it was restored from lacks.

    They follow the one in force, the oldest first. ``devices`` are those the last one lists, with the
    certificates that they have by it: those that the server must know of. ``vault`` is the last one's.
    """

    statements: Annotated[list[StatementBytes], Meta(min_length=1, max_length=MAX_STATEMENTS)]
    devices: Annotated[list[AddedDevice], Meta(max_length=MAX_CLIENTS_PER_USER)] = []
    vault: Annotated[bytes, Meta(max_length=MAX_VAULT)] = b""


class ResetAccount(Struct, frozen=True, gc=False, omit_defaults=True, tag="reset_account"):
    """Begin the account anew under another account key: no device and no vault of before is of any use to it.

    ``statement`` is the first of a new chain and lists ``device`` alone. Everybody who knew the old key sees
    that it has changed.
    """

    statement: StatementBytes
    device: AddedDevice
    vault: VaultBytes = b""
    recovery_key: PublicKey | None = None


class GetVault(Struct, frozen=True, gc=False, tag="get_vault"):
    """Read the vault of one's own account, sealed."""


class PutBox(Struct, frozen=True, gc=False, tag="put_box"):
    """Replace a box of the account's: ``serial`` follows that of the one that lies there (1: none).

    A box is sealed by the account for itself; the same bytes again change nothing.
    """

    box: BoxName
    serial: UInt64
    sealed: Annotated[bytes, Meta(max_length=MAX_BOX)]


class GetBox(Struct, frozen=True, gc=False, tag="get_box"):
    box: BoxName


class OpenLink(Struct, frozen=True, gc=False, tag="open_link"):
    """Ask, as a new device that knows the password, to be linked: a promise of what `RevealLink` says."""

    commitment: Digest


class GetLink(Struct, frozen=True, gc=False, tag="get_link"):
    """Ask how one's request stands."""

    link: LinkId


class NewDevice(Struct, frozen=True, gc=False):
    """What a new device says of itself; ``key`` is its ephemeral X25519 key (membership/linking.py)."""

    client: ClientId
    device_key: PublicKey
    name: DeviceName
    suites: Annotated[list[Suite], Meta(min_length=1, max_length=16)]
    salt: Salt
    key: PublicKey
    nonce: Nonce


class RevealLink(Struct, frozen=True, gc=False, tag="reveal_link"):
    """Keep the promise: from here on no device may answer any more."""

    link: LinkId
    device: NewDevice


class CloseLink(Struct, frozen=True, gc=False, tag="close_link"):
    """End a request of one's own account: it is done, is not wanted, or a wrong code was typed."""

    link: LinkId


class GetLinks(Struct, frozen=True, gc=False, tag="get_links"):
    """Ask, as a device of the account, which new ones want to be linked."""


class AnswerLink(Struct, frozen=True, gc=False, tag="answer_link"):
    """Answer a request that has revealed nothing yet, once, with an ephemeral X25519 key."""

    link: LinkId
    name: DeviceName
    key: PublicKey


class FinishLink(Struct, frozen=True, gc=False, tag="finish_link"):
    """Leave what was sealed for a new device, by the device that answered it."""

    link: LinkId
    sealed: Annotated[bytes, Meta(min_length=1, max_length=MAX_LINK)]


class PublishKeyPackages(Struct, frozen=True, gc=False, tag="publish_key_packages"):
    """Add key packages of one's own client; ``last_resort`` replaces the earlier one."""

    packages: Annotated[list[KeyPackageBytes], Meta(max_length=MAX_KEY_PACKAGES)] = []
    last_resort: KeyPackageBytes = b""


class CountKeyPackages(Struct, frozen=True, gc=False, tag="count_key_packages", omit_defaults=True):
    """``suite`` counts those of one suite, 0 all."""

    suite: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class ClaimKeyPackages(Struct, frozen=True, gc=False, tag="claim_key_packages", omit_defaults=True):
    """Take one key package per client of a user, each handed out once, else the last resort.

    Of a client that has left none of ``suite`` one of the next suite in ``otherwise``, so that who asks
    reads in its certificate why. ``clients`` names those that are asked for; empty for all.
    """

    user: UserName
    suite: Suite
    otherwise: Annotated[list[Suite], Meta(max_length=8)] = []
    clients: Annotated[list[ClientId], Meta(max_length=MAX_CLIENTS_PER_USER)] = []


class CreateGroup(Struct, frozen=True, gc=False, tag="create_group"):
    """Open a log: epoch 0 with one leaf; for a direct conversation with its first commit."""

    group: GroupId
    group_info: Carried
    tree: Carried
    commit: Carried | None = None
    commit_group_info: Carried | None = None
    welcome: Carried | None = None
    supersedes: Annotated[bytes, Meta(max_length=64)] = b""


class CommitGroup(Struct, frozen=True, gc=False, tag="commit"):
    """Append a commit if the epoch and the handshake head are still those the sender saw."""

    group: GroupId
    epoch: UInt64
    handshake_head: UInt64
    commit: Carried
    group_info: Carried
    welcome: Carried | None = None


class OfferCommit(Struct, frozen=True, gc=False, tag="offer_commit"):
    """Append again, to a log that was restored, a commit that it had taken and the copy lacks.

    Who offers need not have made it. ``proposals`` are those it refers to; ``group_info`` describes
    the new epoch and is signed by the offerer's leaf; ``welcome`` is the one it came with.
    """

    group: GroupId
    epoch: UInt64
    commit: Carried
    proposals: Annotated[list[Annotated[bytes, Meta(max_length=MAX_BODY)]], Meta(max_length=MAX_ENTRIES)] = []
    group_info: Carried | None = None
    welcome: Carried | None = None


class Propose(Struct, frozen=True, gc=False, tag="propose"):
    group: GroupId
    epoch: UInt64
    proposal: Annotated[bytes, Meta(max_length=MAX_BODY)]


class SendMessage(Struct, frozen=True, gc=False, tag="send"):
    """Append a PrivateMessage if the group is still in its epoch."""

    group: GroupId
    epoch: UInt64
    message: Annotated[bytes, Meta(max_length=MAX_BODY)]


class Sync(Struct, frozen=True, gc=False, tag="sync"):
    """Ask where the client's groups stand, in order of group id, after one of them.

    ``incarnation`` is the one of the client's own cursors (0: not asked about).
    """

    after: Annotated[bytes, Meta(max_length=64)] = b""
    incarnation: UInt64 = 0


class Fetch(Struct, frozen=True, gc=False, tag="fetch"):
    """Read a group's log from a sequence on."""

    group: GroupId
    start: UInt64


class FetchInbox(Struct, frozen=True, gc=False, tag="fetch_inbox"):
    start: UInt64


class GetGroupInfo(Struct, frozen=True, gc=False, tag="get_group_info"):
    group: GroupId


class GetTree(Struct, frozen=True, gc=False, tag="get_tree"):
    """Read the ratchet tree of an epoch in chunks (present epoch, or that of a waiting Welcome)."""

    group: GroupId
    epoch: UInt64
    offset: UInt64 = 0


class PutChunk(Struct, frozen=True, gc=False, tag="put_chunk"):
    """Add bytes to an upload; a chunk at the wrong offset is answered with the right one."""

    upload: UploadId
    offset: UInt64
    total: Annotated[int, Meta(ge=1, le=MAX_BLOB)]
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK)]


class GetBlob(Struct, frozen=True, gc=False, tag="get_blob"):
    blob: BlobName
    offset: UInt64 = 0


class PutFile(Struct, frozen=True, gc=False, tag="put_file"):
    """Add bytes to an attachment of one's own; at another offset than where it stands nothing changes.

    The first one opens it. Without ``data`` it only asks where it stands. One that is opened as ``kept`` does
    not expire: it lies there until its account lets go of it, and is for the account's archive.
    """

    file: FileId
    offset: UInt64
    total: Annotated[int, Meta(ge=1, le=MAX_FILE)]
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK)] = b""
    kept: bool = False

    def __repr__(self) -> str:
        return f"PutFile(offset={self.offset}, total={self.total}, ...)"  # the id opens the file


class GetFile(Struct, frozen=True, gc=False, tag="get_file"):
    """Read a piece of an attachment: whoever has logged in and knows its id may."""

    file: FileId
    offset: UInt64 = 0

    def __repr__(self) -> str:
        return f"GetFile(offset={self.offset}, ...)"


class DeleteFile(Struct, frozen=True, gc=False, tag="delete_file"):
    """Let go of an attachment of one's own, complete or not; one that is not there is gone."""

    file: FileId

    def __repr__(self) -> str:
        return "DeleteFile(...)"


Before = PasswordParameters | Register | LogInWithPassword | LogIn | LogInForRecovery


class GetTreeHead(Struct, frozen=True, gc=False, tag="get_tree_head", omit_defaults=True):
    """Ask for the key log's newest head, and how it extends the head of ``size`` in ``log`` (0: none)."""

    log: UInt64 = 0
    size: UInt64 = 0


class SearchLog(Struct, frozen=True, gc=False, tag="search_log", omit_defaults=True):
    """Look a user up in the key log; ``log`` and ``size`` as in GetTreeHead.

    ``after``: the revision of the user that was seen last (0: from the first on); none: no history.
    """

    user: UserName
    log: UInt64 = 0
    size: UInt64 = 0
    after: UInt64 | None = None


class MonitorLog(Struct, frozen=True, gc=False, tag="monitor_log"):
    """Ask what the log said of a user when it had ``at`` entries, under the head of ``size`` that one has."""

    user: UserName
    log: UInt64
    size: UInt64
    at: UInt64


class ExtendLog(Struct, frozen=True, gc=False, tag="extend_log"):
    """Ask how the log of ``second`` entries extends that of ``first``: to compare two heads."""

    log: UInt64
    first: UInt64
    second: UInt64


class AuditLog(Struct, frozen=True, gc=False, tag="audit_log"):
    """Read the log's entries from a position on, each with what it takes to check it."""

    log: UInt64
    start: UInt64


Reading = (
    Ping
    | GetAccount
    | CountKeyPackages
    | Sync
    | Fetch
    | FetchInbox
    | GetGroupInfo
    | GetTree
    | PutChunk
    | GetBlob
    | PutFile
    | GetFile
    | DeleteFile
    | GetStatements
    | GetChangedAccounts
    | GetDevices
    | ChangeAccount
    | OfferStatements
    | PutBox
    | GetBox
    | GetVault
    | ResetAccount
    | OpenLink
    | GetLink
    | RevealLink
    | CloseLink
    | GetLinks
    | AnswerLink
    | FinishLink
    | GetTreeHead
    | SearchLog
    | MonitorLog
    | ExtendLog
    | AuditLog
)
"""Requests without a name: repeating them changes nothing."""

Changing = (
    PublishKeyPackages | ClaimKeyPackages | CreateGroup | CommitGroup | OfferCommit | Propose | SendMessage
)
"""Requests with a name: decided once, whatever is sent twice."""

RequestBody = Before | Reading | Changing

BEFORE: Final = frozenset(get_args(Before))
PUBLIC: Final = frozenset({GetTreeHead, ExtendLog, AuditLog})
"""What strangers may ask as well: the log is there to be watched, and names nobody."""
CHANGING: Final = frozenset(get_args(Changing))


# --- answers -------------------------------------------------------------------------------------


class Done(Struct, frozen=True, gc=False, tag="done"):
    pass


class PasswordSalt(Struct, frozen=True, gc=False, tag="password_salt"):
    """Argon2id parameters of the client's stretching; weaker ones than rules.md B are refused."""

    salt: Salt
    passes: Annotated[int, Meta(ge=1, le=64)]
    memory_kib: Annotated[int, Meta(ge=1, le=4 * 1024 * 1024)]
    lanes: Annotated[int, Meta(ge=1, le=16)]


class LoggedIn(Struct, frozen=True, gc=False, tag="logged_in"):
    """``high_water`` is the last name the server decided for this client (0: none yet).

    ``failed_logins`` are wrong passwords since the owner was last told of any (A-06); ``password_changed``
    is when the password last was (seconds since 1970, 0: never).
    """

    user: UserName
    client: Annotated[str, Meta(max_length=32)]
    high_water: UInt64
    incarnation: UInt64
    inbox_head: UInt64
    inbox_cursor: UInt64
    time: UInt64
    failed_logins: UInt64 = 0
    password_changed: UInt64 = 0


class Account(Struct, frozen=True, gc=False, tag="account"):
    user: UserName
    statement: StatementBytes


class Statements(Struct, frozen=True, gc=False, tag="statements"):
    user: UserName
    statements: Annotated[list[StatementBytes], Meta(max_length=MAX_STATEMENTS)]
    more: bool = False


class ChangedAccount(Struct, frozen=True, gc=False):
    user: UserName
    serial: UInt64


class ChangedAccounts(Struct, frozen=True, gc=False, tag="changed_accounts"):
    """``head`` is the place to ask from the next time."""

    accounts: Annotated[list[ChangedAccount], Meta(max_length=MAX_CHANGED)]
    head: UInt64
    more: bool = False


class DeviceRow(Struct, frozen=True, gc=False):
    """A device of one's own account; times are seconds since 1970, ``seen`` to the day."""

    client: ClientId
    device_key: PublicKey
    credential: SmallBytes
    created: UInt64
    seen: UInt64


class Devices(Struct, frozen=True, gc=False, tag="devices"):
    devices: Annotated[list[DeviceRow], Meta(max_length=MAX_CLIENTS_PER_USER)]


class SealedVault(Struct, frozen=True, gc=False, tag="vault"):
    sealed: VaultBytes


class LinkAnswer(Struct, frozen=True, gc=False):
    """What a device of the account answers a new one with."""

    client: ClientId
    name: DeviceName
    key: PublicKey


class LinkStanding(Struct, frozen=True, gc=False, omit_defaults=True, tag="link"):
    """How a request stands; ``seconds`` are left of it.

    ``sealed`` is what ``sealed_by`` left for the new device; ``refused``: it was ended on a device.
    """

    link: LinkId
    seconds: UInt64
    answers: Annotated[list[LinkAnswer], Meta(max_length=MAX_CLIENTS_PER_USER)] = []
    sealed: Annotated[bytes, Meta(max_length=MAX_LINK)] = b""
    sealed_by: Annotated[str, Meta(max_length=32)] = ""
    refused: bool = False


class OpenedLink(Struct, frozen=True, gc=False, omit_defaults=True):
    """A new device's request as the account's devices see it; ``address`` is where the server saw it."""

    link: LinkId
    commitment: Digest
    opened: UInt64
    seconds: UInt64
    address: Label
    device: NewDevice | None = None


class Links(Struct, frozen=True, gc=False, tag="links"):
    links: Annotated[list[OpenedLink], Meta(max_length=16)]


class Box(Struct, frozen=True, gc=False, tag="box"):
    serial: UInt64
    sealed: Annotated[bytes, Meta(max_length=MAX_BOX)]


class KeyPackageCount(Struct, frozen=True, gc=False, tag="key_package_count"):
    fresh: UInt64
    last_resort: bool


class ClaimedKeyPackage(Struct, frozen=True, gc=False):
    client: ClientId
    key_package: KeyPackageBytes


class ClaimedKeyPackages(Struct, frozen=True, gc=False, tag="claimed_key_packages"):
    user: UserName
    packages: Annotated[list[ClaimedKeyPackage], Meta(max_length=64)]


class Appended(Struct, frozen=True, gc=False, tag="appended"):
    """The entry is on disk: its place in the group's log."""

    sequence: UInt64


class GroupStatus(Struct, frozen=True, gc=False, omit_defaults=True):
    """A stay of the client in a group: readable are the entries start..min(end, head)."""

    group: GroupId
    epoch: UInt64
    head: UInt64
    handshake_head: UInt64
    start: UInt64
    cursor: UInt64
    end: UInt64 = 0
    """0 while the client is a member, else the sequence of the commit that removed it."""
    restored: UInt64 | None = None
    """The last entry that the log still has of what it had in the asked incarnation, if that ended."""
    unread: Annotated[list[Run], Meta(max_length=MAX_UNREAD)] = []
    """Where the client's own messages expired before everybody else had them, the newest first."""


class Synced(Struct, frozen=True, gc=False, tag="synced"):
    groups: Annotated[list[GroupStatus], Meta(max_length=1024)]
    more: bool = False


ENTRY_KINDS: Final = ("commit", "proposal", "message")
"""What a log's entry may be."""


class Entry(Struct, frozen=True, gc=False, omit_defaults=True, tag="entry"):
    """One place in a group's log. ``sender`` is who the server says sent it: MLS proves it.

    ``kind`` is one of ENTRY_KINDS. ``offered``: a commit that was brought back to a restored log, so
    some were past its epoch before.
    """

    sequence: UInt64
    kind: Annotated[str, Meta(max_length=16)]
    epoch: UInt64
    sender: ClientId
    time: UInt64
    body: Annotated[bytes, Meta(max_length=MAX_BODY)] = b""
    blob: Annotated[bytes, Meta(max_length=32)] = b""
    size: Annotated[int, Meta(ge=0, le=MAX_BLOB)] = 0
    offered: bool = False


class Gap(Struct, frozen=True, gc=False, tag="gap"):
    """Entries first..last have expired; their SHA-256 keep the chain checkable."""

    first: UInt64
    last: UInt64
    hashes: Annotated[list[Digest], Meta(max_length=MAX_ENTRIES)]


class Entries(Struct, frozen=True, gc=False, tag="entries"):
    group: GroupId
    entries: Annotated[list[Entry | Gap], Meta(max_length=MAX_ENTRIES)]
    head: UInt64


class InboxEntry(Struct, frozen=True, gc=False, omit_defaults=True):
    """A Welcome: ``start`` is the first log sequence the new member may read."""

    sequence: UInt64
    group: GroupId
    epoch: UInt64
    start: UInt64
    sender: ClientId
    welcome: Carried
    time: UInt64


class InboxEntries(Struct, frozen=True, gc=False, tag="inbox_entries"):
    entries: Annotated[list[InboxEntry], Meta(max_length=MAX_ENTRIES)]
    head: UInt64


class StoredGroupInfo(Struct, frozen=True, gc=False, tag="group_info"):
    group: GroupId
    epoch: UInt64
    head: UInt64
    handshake_head: UInt64
    group_info: Carried


class Chunk(Struct, frozen=True, gc=False, tag="chunk"):
    """``total`` is the length of the whole; the reader asks again from offset + len(data)."""

    total: Annotated[int, Meta(ge=0, le=MAX_BLOB)]
    offset: UInt64
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK)]


class Uploaded(Struct, frozen=True, gc=False, tag="uploaded"):
    """``received`` bytes are stored; once all are, ``blob`` is the name of the whole."""

    received: UInt64
    blob: Annotated[bytes, Meta(max_length=32)] = b""


class FileStored(Struct, frozen=True, gc=False, tag="file_stored"):
    """Where an attachment stands. Before ``received`` is its total, a crash may set it back.

    ``expires``: seconds since 1970, when it will be let go of; 0: it is kept.
    """

    received: UInt64
    expires: UInt64


class FilePiece(Struct, frozen=True, gc=False, tag="file_piece"):
    """``total`` is the length of the whole; past the end the piece is empty."""

    total: Annotated[int, Meta(ge=1, le=MAX_FILE)]
    offset: UInt64
    data: Annotated[bytes, Meta(max_length=MAX_CHUNK)]


class TreeHeadOffered(Struct, frozen=True, gc=False, tag="tree_head", omit_defaults=True):
    """A HeadOffer, and the LogBegun of a log that the client did not name."""

    offer: Annotated[bytes, Meta(max_length=MAX_TREE_HEAD)]
    begun: Annotated[bytes, Meta(max_length=MAX_LOG_BEGUN)] = b""


class LogSearched(Struct, frozen=True, gc=False, tag="log_searched", omit_defaults=True):
    """``answer`` is a SearchAnswer under the head in ``offer``, ``statement`` the one that it speaks of."""

    offer: Annotated[bytes, Meta(max_length=MAX_TREE_HEAD)]
    answer: Annotated[bytes, Meta(max_length=MAX_LOG_SEARCH)]
    statement: StatementBytes
    begun: Annotated[bytes, Meta(max_length=MAX_LOG_BEGUN)] = b""


class LogStanding(Struct, frozen=True, gc=False, tag="log_standing"):
    """A Standing."""

    standing: Annotated[bytes, Meta(max_length=MAX_LOG_PROOF)]


class LogExtension(Struct, frozen=True, gc=False, tag="log_extension"):
    """An Extension."""

    extension: Annotated[bytes, Meta(max_length=MAX_LOG_PROOF)]


class LogSteps(Struct, frozen=True, gc=False, tag="log_steps"):
    """AuditSteps in the order of the log; none at its end."""

    steps: Annotated[list[Annotated[bytes, Meta(max_length=MAX_LOG_PROOF)]], Meta(max_length=MAX_AUDITED)]


Answer = (
    Done
    | PasswordSalt
    | LoggedIn
    | Account
    | KeyPackageCount
    | ClaimedKeyPackages
    | Appended
    | Synced
    | Entries
    | InboxEntries
    | StoredGroupInfo
    | Chunk
    | Uploaded
    | FileStored
    | FilePiece
    | Statements
    | ChangedAccounts
    | Devices
    | Box
    | SealedVault
    | LinkStanding
    | Links
    | TreeHeadOffered
    | LogSearched
    | LogStanding
    | LogExtension
    | LogSteps
)


# --- refusals ------------------------------------------------------------------------------------

REFUSALS: Final[dict[str, str]] = {
    "bad_request": "the request breaks a rule of the wire",
    "not_logged_in": "log in first",
    "wrong_credentials": "unknown user, wrong password or unknown device",
    "name_taken": "this user name is taken",
    "name_refused": "this user name is outside the grammar",
    "registration_closed": "this server does not take new accounts",
    "invite_needed": "this server takes new accounts by invite; the token is missing, wrong, used or too old",
    "busy": "the server has too much to do; try again later",
    "limited": "that was too much at once; the server takes it a little later",
    "unknown_user": "there is no such user here",
    "no_group": "there is no such group for you",
    "not_member": "you are not a member of this group",
    "forbidden": "you may not do this here",
    "stale_epoch": "the group has moved on; head says where it is",
    "behind": "there are proposals you have not seen; head says where the group is",
    "exists": "this exists already; detail names it",
    "refused_commit": "the commit breaks a rule of the room; text says which",
    "refused_message": "the message is not what it claims to be; text says why",
    "conflict": "another request has this name: this client runs twice or was restored",
    "out_of_order": "the name does not follow the last one; head is the last one decided",
    "forgotten": "the answer to this name is no longer kept",
    "no_blob": "there is no such blob for you",
    "stale_statement": "the account has changed meanwhile; read its statements and decide anew",
    "stale_box": "another device has replaced this meanwhile; head is its serial",
    "no_box": "there is no such box",
    "no_vault": "this account has no recovery key",
    "no_link": "there is no such request to link a device any more",
    "no_file": "there is no such file, or it is no longer kept",
    "gone": "this is no longer kept",
    "quota": "a limit is reached; text says which",
    "internal": "the server failed; the text has an id for its log",
}
"""Every code a refusal may carry, with the sentence shown when the refusal brings none."""

UNDECIDED: Final = frozenset({"busy", "limited", "internal", "out_of_order"})
"""Codes that decide nothing."""


class Refused(Struct, frozen=True, gc=False, omit_defaults=True, tag="refused"):
    """A definite no: nothing was or will be appended under this request's name.

    Except those of ``UNDECIDED``, which decide nothing: the same bytes may be sent again under the
    same name, after ``retry_after`` seconds.
    """

    id: UInt64
    code: Label
    text: Text = ""
    head: UInt64 = 0
    detail: Annotated[bytes, Meta(max_length=64)] = b""
    retry_after: UInt64 = 0


# --- frames --------------------------------------------------------------------------------------


class ClientHello(Struct, frozen=True, gc=False, tag="client_hello"):
    versions: Annotated[list[int], Meta(min_length=1, max_length=16)]
    features: Annotated[list[Label], Meta(max_length=32)] = []
    agent: Label = ""


class ServerHello(Struct, frozen=True, gc=False, tag="server_hello"):
    """``identity_signature`` is by ``identity_key`` over the TLS key seen on this connection."""

    version: int
    domain: Annotated[str, Meta(min_length=1, max_length=253)]
    identity_key: PublicKey
    identity_signature: Signature
    nonce: Nonce
    features: Annotated[list[Label], Meta(max_length=32)] = []
    agent: Label = ""
    registration: Label = "open"


class Request(Struct, frozen=True, gc=False, omit_defaults=True, tag="request"):
    """``body`` is one of RequestBody, kept as it came: its bytes are what a name stands for."""

    id: UInt64
    body: Raw
    name: UInt64 = 0


class Response(Struct, frozen=True, gc=False, tag="response"):
    id: UInt64
    body: Raw


class Acknowledged(Struct, frozen=True, gc=False):
    """Everything up to ``sequence`` is stored by the client. An empty group is the inbox."""

    group: Annotated[bytes, Meta(max_length=64)]
    sequence: UInt64


class Acknowledge(Struct, frozen=True, gc=False, tag="acknowledge"):
    """Cumulative, one way: no answer, a repeat is harmless, a smaller one is ignored."""

    acks: Annotated[list[Acknowledged], Meta(max_length=1024)]


class Delivered(Struct, frozen=True, gc=False, tag="delivered"):
    """A push: entries appended while the client is connected, in order, no hole inside."""

    group: GroupId
    entries: Annotated[list[Entry], Meta(max_length=MAX_ENTRIES)]


class InboxDelivered(Struct, frozen=True, gc=False, tag="inbox_delivered"):
    entries: Annotated[list[InboxEntry], Meta(max_length=MAX_ENTRIES)]


GOODBYES: Final[dict[str, str]] = {
    "bye": "the side that says it has nothing more to say",
    "protocol_error": "the other side broke a rule of the wire; text says which",
    "replaced": "a newer connection of the same client has taken over",
    "stopping": "the server stops or starts again; come back",
    "slow": "more than a limit waited for this reader; the messages wait in the log",
    "silent": "nothing came for too long",
    "disabled": "this account was closed by whoever runs the server",
    "revoked": "this device was removed from its account",
    "password_changed": "the password of this account was changed; log in again",
    "internal": "the server failed; come back",
}
"""Every word a Goodbye may carry; ``lost`` is what a side calls an end without one."""


class AccountChanged(Struct, frozen=True, gc=False, tag="account_changed"):
    """A push: an account has a new statement; told to its own devices and to who shares a group with it."""

    user: UserName
    serial: UInt64


class LinksChanged(Struct, frozen=True, gc=False, tag="links_changed"):
    """A push to a client: of its account's requests to link a device one has come, moved on or gone."""


ACCOUNTS: Final = "accounts"
"""The feature of a client that takes `AccountChanged` and `LinksChanged`."""


class Goodbye(Struct, frozen=True, gc=False, tag="goodbye"):
    """The last frame a side sends; ``code`` is one of GOODBYES."""

    code: Label
    text: Text = ""


ClientFrame = ClientHello | Request | Acknowledge | Goodbye
ServerFrame = (
    ServerHello | Response | Refused | Delivered | InboxDelivered | AccountChanged | LinksChanged | Goodbye
)
