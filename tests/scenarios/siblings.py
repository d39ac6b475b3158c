"""More devices of one account, made by hand: how one is linked is told elsewhere."""

import secrets
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import statements
from securechat.client.config import Home
from securechat.client.keystore import Keys, create_account, load_keys, open_account_key, save_keys
from securechat.client.private_files import make_folder
from securechat.client.store import KEY_SIZE, create_store
from securechat.membership.account import Certified, next_statement
from securechat.membership.identity import new_local_id
from securechat.membership.passwords import stretch
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.protocol.messages import AddedDevice, ChangeAccount, Devices, GetDevices, Reissued
from tests.scenarios.world import Person


class Sibling(Person):
    """One more device of a person, with a folder of its own."""

    def __init__(self, first: Person, number: int) -> None:
        super().__init__(first.world, first.name)
        self.password = first.password
        self.home = Home(first.world.folder / f"home-{first.name}-{number}")


def account_key_of(person: Person) -> Ed25519PrivateKey:
    keys = keys_of(person)
    opened = stretch(person.password, domain=keys.domain, user=keys.user, salt=keys.login_salt)
    return open_account_key(opened.vault_key, keys.account_key_sealed, domain=keys.domain, user=keys.user)


def keys_of(person: Person) -> Keys:
    return load_keys(person.client._engine.store)


async def another_device(person: Person, number: int = 2) -> Sibling:
    """Link one more device of somebody who is online; its client is closed yet."""
    sibling = Sibling(person, number)
    await person.client.caught_up()
    client, device_key = new_local_id(), new_key()
    engine, keys = person.client._engine, keys_of(person)
    made = next_statement(
        account_key_of(person),
        previous=statements.newest_bytes(engine.store.db, person.name) or keys.statement,
        issued_at=int(engine.clock()),
        add=[(client, public_of(device_key), PRODUCT_SUITES)],
    )
    (added,) = made.added
    await engine.ask(
        ChangeAccount(made.statement, [AddedDevice(client, public_of(device_key), added.credential)])
    )
    own = replace(
        keys,
        client=client,
        device_key=device_key,
        credential=added.credential,
        statement=made.statement,
    )
    _make_profile(sibling, own)
    person.world.people[f"{person.name}-{number}"] = sibling
    return sibling


def _make_profile(sibling: Sibling, keys: Keys) -> None:
    sibling.home.make()
    profile = sibling.home.profile(sibling.name)
    make_folder(Path(profile.folder))
    store_key = secrets.token_bytes(KEY_SIZE)
    store = create_store(profile.database, store_key)
    with store.transaction() as db:
        save_keys(db, keys)
    store.close()
    create_account(profile, keys.server, keys.domain, sibling.password, store_key)


async def let_go(person: Person, *gone: Person) -> None:
    """Put the statement that revokes devices in force, and nothing else."""
    engine, keys = person.client._engine, keys_of(person)
    answer = await engine.ask(GetDevices())
    assert isinstance(answer, Devices)
    clients = [keys_of(each).client for each in gone]
    made = next_statement(
        account_key_of(person),
        previous=statements.newest_bytes(engine.store.db, person.name) or keys.statement,
        issued_at=int(engine.clock()),
        revoke=clients,
        staying=[Certified(each.client, each.device_key, each.credential) for each in answer.devices],
    )
    reissued = [Reissued(each.client, each.credential) for each in made.reissued]
    await engine.ask(ChangeAccount(made.statement, reissued=reissued))
