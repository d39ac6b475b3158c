"""A device of before gains the cipher suites of this release: its certificate is issued anew (rules.md B).

The account key signs it and rests sealed under the password, so it is done where that is typed. Its
groups learn of it with our next path; key packages of the new suites follow with the next top-up.
"""

from dataclasses import replace

import msgspec

from securechat.client.account_opening import open_account
from securechat.client.keystore import Keys, replace_credential
from securechat.client.store import ClientStore
from securechat.membership.identity import certify, read_identity
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import public_of


def with_all_suites(store: ClientStore, keys: Keys, password: str) -> Keys:
    """Return the keys with a certificate that lists what this release has, stored if it is a new one.

    Costs an Argon2id if it is: call it in a thread.

    :raises WrongPassword: it opens the store, but not the account key
    """
    credential = read_identity(keys.credential)
    if set(PRODUCT_SUITES) <= set(credential.suites):
        return keys
    account_key, _ = open_account(store, keys, password)
    unsigned = msgspec.structs.replace(credential, suites=PRODUCT_SUITES)
    issued = certify(unsigned, account_key, public_of(keys.device_key))
    with store.transaction() as db:
        replace_credential(db, issued)
    return replace(keys, credential=issued)
