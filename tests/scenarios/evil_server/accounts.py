"""Accounts that change as their owners want: devices come and go by statements that the account key signs."""

from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import statements
from securechat.client.keystore import open_account_key
from securechat.membership import passwords
from securechat.membership.account import Certified, NextStatement, next_statement
from securechat.membership.identity import new_local_id
from securechat.membership.room import PRODUCT_SUITES, capabilities
from securechat.membership.signing import new_key, public_of
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.credential import BasicCredential
from securechat.mls.key_package import Identity, make_key_package
from securechat.mls.nodes import Lifetime
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import AddedDevice, ChangeAccount, Devices, GetDevices, Reissued
from tests.scenarios.evil_server.accomplices import a_server_that_looks_away, commit
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now
from tests.scenarios.simulation.people import PASSWORD, cheap


def account_key_of(stage: Stage, name: str) -> Ed25519PrivateKey:
    keys = stage.person(name).keys
    with mock.patch.object(passwords, "_argon2id", cheap):
        opened = passwords.stretch(PASSWORD, domain=keys.domain, user=keys.user, salt=keys.login_salt)
    return open_account_key(opened.vault_key, keys.account_key_sealed, domain=keys.domain, user=keys.user)


def statement_of(stage: Stage, name: str) -> bytes:
    """The newest statement that somebody's own device knows of its account."""
    known = statements.newest_bytes(stage.person(name).store.db, name)
    return known or stage.person(name).keys.statement


async def add_a_phone(stage: Stage, name: str) -> None:
    """Put one more device on somebody's list, and into the room. It is never switched on."""
    client, device_key = new_local_id(), new_key()
    made = next_statement(
        account_key_of(stage, name),
        previous=statement_of(stage, name),
        issued_at=now(),
        add=[(client, public_of(device_key), PRODUCT_SUITES)],
    )
    (added,) = made.added
    await stage.engine(name).ask(
        ChangeAccount(made.statement, [AddedDevice(client, public_of(device_key), added.credential)])
    )
    stage.seals.owners.made(stage.person(name), made.statement)
    signer = SUITE_HYBRID.signature.load(device_key.private_bytes_raw())
    identity = Identity(BasicCredential(added.credential), signer, capabilities())
    lifetime = Lifetime(now() - 60, now() + 30 * 86_400)
    package = make_key_package(identity, SUITE_HYBRID, lifetime=lifetime).key_package
    with a_server_that_looks_away():
        await commit(stage, name, lambda _: CommitPlan(add=(package,), force_path=True))


def phone_of(stage: Stage, name: str) -> str:
    """The device on somebody's list that is not the one they use."""
    own = stage.person(name).keys.client
    (phone,) = stage.seals.owners.devices[name].keys() - {own}
    return phone


async def revocation_of(stage: Stage, name: str, client: str) -> NextStatement:
    """The statement by which somebody takes a device off their list."""
    answer = await stage.engine(name).ask(GetDevices())
    assert isinstance(answer, Devices)
    return next_statement(
        account_key_of(stage, name),
        previous=statement_of(stage, name),
        issued_at=now(),
        revoke=[client],
        staying=[Certified(each.client, each.device_key, each.credential) for each in answer.devices],
    )


async def revoke(stage: Stage, name: str, client: str) -> None:
    made = await revocation_of(stage, name, client)
    reissued = [Reissued(each.client, each.credential) for each in made.reissued]
    await stage.engine(name).ask(ChangeAccount(made.statement, reissued=reissued))
