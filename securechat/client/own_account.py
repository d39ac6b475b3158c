"""What of our own account a restored server may lack, kept here and brought back by any device (N-03).

A server that comes back from a copy lacks the statements that the account made since: a device that was
linked then is none there, one that was revoked is one again, and who knows us holds what goes to us. Each
device keeps the chain, with the certificates of its end; whoever logs in first offers what is missing. The
account key has signed all of it, so nothing is asked of a person.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from securechat.client import own_rows, records, statements
from securechat.client.change import Changes
from securechat.client.device import Device
from securechat.client.errors import RefusedByServer, UntrustedKeys
from securechat.client.notes import tell_account
from securechat.membership.account import Certified, certificate_problem
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.membership.vault import VaultRefused, read_vault
from securechat.protocol.limits import MAX_STATEMENTS
from securechat.protocol.messages import (
    UNDECIDED,
    AddedDevice,
    Devices,
    GetDevices,
    GetVault,
    OfferStatements,
    SealedVault,
)

FIRST_VAULT: Final = 1
"""The serial of the vault that an account begins with: whoever has the account has that."""

LOOKED_IN: Final = "own_vault_incarnation"
"""The counter with the incarnation of the server in which its vault was last held against the one here:
whoever came first after a restore may have left another, and no statement says which it is."""

OTHER_VAULT: Final = "vault_other"

_OTHER_VAULT: Final = (
    "what the server keeps for your recovery key to bring this account back with is not what your devices"
    " left there: make another recovery key"
)


@dataclass(slots=True)
class OwnAccount:
    """Keeps, and brings back. ``ask``: of the server."""

    changes: Changes
    ask: statements.Ask
    device: Device

    async def keep(self) -> None:
        """Keep what the server has of us, now that it is known to be right; what is not to be had can wait.

        :raises Disconnected: it is kept the next time
        """
        with contextlib.suppress(UntrustedKeys):
            try:
                await self._keep_chain()
                await self._keep_devices()
                await self._keep_vault()
            except RefusedByServer as refused:
                if refused.code not in UNDECIDED:
                    raise

    async def offer(self) -> bool:
        """Bring back what the server lacks of our chain; whether it took that.

        :raises Disconnected, RefusedByServer: not now
        """
        db = self.changes.db
        newest = statements.newest_bytes(db, self.device.user)
        chain = {} if newest is None else own_rows.chain_to(db, newest)
        shown = await statements.fetch(self.ask, self.device.user, after=0)
        if not shown or newest is None:
            return False
        try:
            at = verify_statement(shown[-1]).serial
        except StatementRefused:
            return False
        end = verify_statement(newest)
        missing = [chain[serial] for serial in range(at + 1, end.serial + 1) if serial in chain]
        if chain.get(at) != shown[-1] or not 0 < len(missing) <= MAX_STATEMENTS:
            return False
        body = OfferStatements(missing, self._devices(end), own_rows.vault(db, end.vault_serial) or b"")
        try:
            await self.ask(body)
        except RefusedByServer as refused:
            if refused.code in UNDECIDED:
                raise
            return False  # it was not restored, as it says; or it is another account than ours
        return True

    async def _keep_chain(self) -> None:
        db = self.changes.db
        newest = statements.newest_bytes(db, self.device.user)
        if newest is None:
            return
        have = own_rows.chain_to(db, newest)
        first = min(have, default=0)
        if have and (first == 1 or len(have) >= MAX_STATEMENTS):
            return
        shown = await statements.fetch(self.ask, self.device.user, after=0)
        with self.changes.change() as change:
            # What is ours may have gone on while we asked.
            now = statements.newest_bytes(change.db, self.device.user) or newest
            own_rows.keep_chain(change.db, now, shown)

    async def _keep_devices(self) -> None:
        newest = statements.newest(self.changes.db, self.device.user)
        if newest is None or len(self._devices(newest)) == len(newest.devices):
            return
        answer = await self.ask(GetDevices())
        if isinstance(answer, Devices):
            with self.changes.change() as change:
                some = [Certified(each.client, each.device_key, each.credential) for each in answer.devices]
                now = statements.newest(change.db, self.device.user) or newest
                own_rows.note_devices(change.db, now, some)

    async def _keep_vault(self) -> None:
        db = self.changes.db
        newest = statements.newest(db, self.device.user)
        if newest is None or newest.vault_serial <= FIRST_VAULT:
            return
        kept, incarnation = own_rows.vault(db, newest.vault_serial), records.counter(db, records.INCARNATION)
        if kept is not None and records.counter(db, LOOKED_IN) == incarnation:
            return
        there = await self._vault_there()
        try:
            serial = read_vault(there, at_least=newest.vault_serial).serial
        except VaultRefused:
            serial = 0
        if serial > newest.vault_serial and kept:
            return  # another device of ours has made another: its statement comes
        with self.changes.change() as change:
            records.set_counter(change.db, LOOKED_IN, incarnation)
            if serial and kept in {None, b"", there}:
                own_rows.keep_vault(change.db, serial, there)
                return
            tell_account(change, OTHER_VAULT, _OTHER_VAULT)
            if not kept:
                own_rows.keep_vault(change.db, newest.vault_serial, b"")

    async def _vault_there(self) -> bytes:
        """Return what the server keeps for the recovery key; empty if nothing."""
        try:
            answer = await self.ask(GetVault())
        except RefusedByServer as refused:
            if refused.code != "no_vault":
                raise
            return b""
        return answer.sealed if isinstance(answer, SealedVault) else b""

    def _devices(self, statement: AccountStatement) -> list[AddedDevice]:
        """Return the devices of a statement whose certificates by it are here; our own we have in use."""
        device = self.device
        own = Certified(device.client, device.identity.signature_key.public, device.credential)
        some = {each.client: each for each in (*own_rows.devices(self.changes.db), own)}
        good = [each for each in some.values() if certificate_problem(each, statement) is None]
        return [AddedDevice(each.client, each.device_key, each.credential) for each in good]
