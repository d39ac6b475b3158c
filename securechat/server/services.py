"""Which request goes to which service: the table that a session looks up.

Three kinds: asked over a snapshot, written without a name (a repeat changes nothing), and named,
which may have a half that judges before the transaction and always one inside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw

from securechat.protocol.messages import (
    Answer,
    ChangeAccount,
    ClaimKeyPackages,
    CloseLink,
    CommitGroup,
    CountKeyPackages,
    CreateGroup,
    Fetch,
    FetchInbox,
    GetAccount,
    GetBlob,
    GetBox,
    GetChangedAccounts,
    GetDevices,
    GetGroupInfo,
    GetLink,
    GetStatements,
    GetTree,
    GetVault,
    MonitorLog,
    OfferCommit,
    OpenLink,
    Propose,
    PublishKeyPackages,
    PutBox,
    PutChunk,
    RequestBody,
    ResetAccount,
    RevealLink,
    SearchLog,
    SendMessage,
    Sync,
)
from securechat.server import account_changes, boxes, vaults
from securechat.server.blobs import Blobs
from securechat.server.config import Quotas, Retention
from securechat.server.delivery import Delivery
from securechat.server.directory import Directory
from securechat.server.entrances import Entrances
from securechat.server.groups import Groups
from securechat.server.ordering import Ordering
from securechat.server.quota import Quota
from securechat.server.reopening import Reopening
from securechat.server.store.transaction import Transaction
from securechat.server.values import Caller, Clock, Decision

# A service takes the body its row names; Any says what a dictionary of them cannot.
Reading = Callable[[apsw.Connection, Caller, Any], Answer]
Prepare = Callable[[apsw.Connection, Caller, Any], Any]
Decide = Callable[..., Decision]


@dataclass(frozen=True, slots=True)
class Named:
    """A named request: ``prepare`` judges over a snapshot, ``decide`` takes what it found."""

    decide: Decide
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Quick:
    """A named request that refuses before it changes anything: the busy one."""

    decide: Callable[[Transaction, Caller, Any], Decision]


WITHOUT_CLIENT: Final[frozenset[type[RequestBody]]] = frozenset(
    {
        *(GetAccount, GetStatements, GetDevices, GetVault, GetBox, ChangeAccount, ResetAccount),
        *(OpenLink, GetLink, RevealLink, CloseLink),
        *(SearchLog, MonitorLog),
    }
)
"""What a login by password or recovery key may ask: no client is bound to it. What it reads is sealed, and
what it changes the account key has signed; but for a reset, which everybody who knew the account sees, and
which only who has proven the password that holds may ask for."""


class Services:
    """The services of one server, by the request they answer."""

    def __init__(self, domain: str, quotas: Quotas, retention: Retention, now: Clock) -> None:
        self.groups = Groups()
        quota = Quota(quotas)
        self.delivery = Delivery(self.groups, quota, now)
        directory, ordering = Directory(domain, now), Ordering(self.groups, domain, now, quota)
        reopening = Reopening(self.groups, domain, now, quota, offered_for=retention.handshakes_seconds)
        blobs, entrances = Blobs(now), Entrances()
        self.reading: dict[type[RequestBody], Reading] = {
            GetAccount: directory.get_account,
            GetChangedAccounts: account_changes.get_changed,
            GetDevices: account_changes.get_devices,
            GetBox: boxes.get,
            GetVault: vaults.get,
            CountKeyPackages: directory.count,
            Sync: self.delivery.sync,
            Fetch: self.delivery.fetch,
            FetchInbox: self.delivery.fetch_inbox,
            GetGroupInfo: entrances.get_group_info,
            GetTree: entrances.get_tree,
            GetBlob: blobs.get_blob,
        }
        self.writing: dict[type[RequestBody], Reading] = {PutChunk: blobs.put_chunk, PutBox: boxes.put}
        self.named: dict[type[RequestBody], Named | Quick] = {
            SendMessage: Quick(self.delivery.send),
            Propose: Named(ordering.propose, ordering.prepare_proposal),
            CommitGroup: Named(ordering.commit, ordering.prepare_commit),
            OfferCommit: Named(reopening.offer, reopening.prepare_offer),
            CreateGroup: Named(ordering.create, ordering.prepare_create),
            PublishKeyPackages: Named(directory.publish, directory.prepare_publish),
            ClaimKeyPackages: Named(directory.claim),
        }
