"""Who people are: safety numbers, codes to scan, and what a person has compared. A part of `Client`.

Nothing here needs the server. What is compared is an account key, so one act is for all devices of
somebody, now and later. No number that is typed and no code that is scanned pins a key that was not
seen already: a mistake, or a lie, can only say no.
"""

from securechat.client import comparing, key_log
from securechat.client import contacts as pins
from securechat.client.change import Change
from securechat.client.compose import fold_name
from securechat.client.errors import NotTheSame, UnknownUser
from securechat.client.events import Contact, Fingerprint, Identity
from securechat.client.finder import Finder
from securechat.client.holds import settle_if_believed, settle_keys
from securechat.client.reopening import reopen
from securechat.client.verification import (
    code_for,
    fingerprint,
    number_with,
    sentence_of,
    what_it_says,
)
from securechat.membership.safety_number import begins_with
from securechat.membership.verification_code import Match, read_code


class Verifier(Finder):
    """Pins, marks and codes of one account; `Client` is one."""

    def contacts(self) -> list[Contact]:
        """Return everybody whose keys are known here, by name."""
        return self._contacts(pins.every(self._engine.store.db))

    def contact(self, user: str) -> Contact:
        """Return what is known of one person, with what to compare and what to have them scan.

        :raises UnknownUser: no keys of theirs are known here
        """
        name = _name(user)
        found = [known for known in pins.every(self._engine.store.db) if known[0].user == name]
        if not found:
            raise _unknown(name)
        return self._contacts(found)[0]

    def set_verified(self, user: str, number: str) -> None:
        """Note that the safety number with a contact was compared outside the chat, and is the same.

        Of keys that changed it is the same as to accept them; if it is the number from before that is
        right, the others are forgotten.

        :param number: that number, or its first five digits or more: it says which key was compared
        :raises UnknownUser: no keys of theirs are known
        :raises NotTheSame: the number is another
        """
        name = _name(user)
        with self._engine.changes.change() as change:
            known = _known(change, name)
            fit = [key for key in _keys(known) if begins_with(self._number(name, key), number)]
            if len(fit) != 1:
                raise NotTheSame(
                    name,
                    f"that is not the safety number with {name}: it was mistyped, or somebody is in between; "
                    f"compare it anew with /verify @{name}",
                )
            self._believe(change, known, fit[0])
            self._mark(change, name, fit[0])

    def clear_verified(self, user: str) -> None:
        """Take the mark back."""
        with self._engine.changes.change() as change:
            pins.clear_verified(change.db, _name(user))

    def compare_code(self, user: str, code: str) -> None:
        """Compare the code that somebody shows with what is known here: verified, or a definite no.

        :param code: what was scanned or pasted
        :raises UnknownUser: no keys of theirs are known
        :raises NoCode: it is none
        :raises WrongCode: it is of other people, or our own
        :raises NotTheSame: its keys are others than those known here; they are not verified any more
        """
        name = _name(user)
        read = read_code(code)
        engine = self._engine
        with engine.changes.change() as change:
            known = _known(change, name)
            found = {
                key: what_it_says(read, engine.device, engine.keys.account_key, name, key)
                for key in _keys(known)
            }
            same = next((key for key, match in found.items() if match is Match.SAME), None)
            if same is not None:
                self._believe(change, known, same)
                self._mark(change, name, same)
                return
            refused = sentence_of(found[known.account_key], name)
            if isinstance(refused, NotTheSame):
                pins.clear_verified(change.db, name)
        raise refused

    async def accept_identity(self, user: str, digits: str) -> None:
        """Take a contact's changed account key as theirs: the user has compared the safety number.

        :param digits: the beginning of that number, at least five digits: it says which key is meant,
            so that no other can slip in between
        :raises UnknownUser: no keys of theirs wait for it
        :raises NotTheSame: the key that was seen last has another number
        """
        name = _name(user)
        with self._engine.changes.change() as change:
            known = pins.contact(change.db, name)
            if known is None or known.changed_to is None:
                raise UnknownUser("unknown_user", f"no keys of {name} wait to be accepted")
            if not begins_with(self._number(name, known.changed_to), digits):
                raise NotTheSame(
                    name,
                    f"that is not the number with the keys that {name} has now; "
                    f"/fingerprint @{name} shows it: compare it with them elsewhere",
                )
            self._believe(change, known, known.changed_to)

    def fingerprint(self, name: str) -> Fingerprint:
        """Return the codes to compare outside the chat."""
        engine = self._engine
        return fingerprint(
            engine.store.db, engine.device, engine.keys.account_key, engine.groups, self._verbs.record(name)
        )

    def set_compared(self, name: str, user: str, digits: str) -> None:
        """Note, on this device alone, that the code of a conversation was compared with somebody in it.

        :param digits: the beginning of that code, at least five digits: it says of which epoch;
            empty takes the note back
        :raises UnknownUser: they are not in it
        :raises NotTheSame: its code is another now
        """
        with self._engine.changes.change() as change:
            comparing.note(change, self._engine.groups, self._verbs.record(name), _name(user), digits)

    def _believe(self, change: Change, known: pins.Contact, key: bytes) -> None:
        """Take a key that was seen as the person's, and no other; what was held for it goes on."""
        if key == known.changed_to:
            pins.accept_change(change.db, known.user, key)
        else:
            pins.confirm_pin(change.db, known.user)
        key_log.look_again(change.db, known.user)
        reopen(change, self._engine.groups, known.user)
        settle_keys(change, self._engine.groups, known.user)

    def _mark(self, change: Change, name: str, key: bytes) -> None:
        engine = self._engine
        pins.set_verified(change.db, name, key, now=change.now)
        settle_if_believed(change, engine.groups, engine.policy, own=engine.keys.user)

    def _number(self, name: str, key: bytes) -> str:
        return number_with(self._engine.device, self._engine.keys.account_key, name, key)

    def _contacts(self, found: list[tuple[pins.Contact, int]]) -> list[Contact]:
        engine = self._engine
        db, own_key = engine.store.db, engine.keys.account_key
        are, verified = pins.identities(db), pins.verified_since(db)
        rooms: dict[str, list[str]] = {}
        for info in self.devices():
            for name in info.conversations:
                if name not in (seen := rooms.setdefault(info.user, [])):
                    seen.append(name)
        return [
            Contact(
                user=known.user,
                verified=are[known.user] is Identity.VERIFIED,
                changed=are[known.user] is Identity.CHANGED,
                since=since,
                safety_number=self._number(known.user, known.account_key),
                conversations=tuple(sorted(rooms.get(known.user, ()))),
                identity=are[known.user],
                verified_since=verified.get(known.user, 0),
                changed_number=self._number(known.user, known.changed_to) if known.changed_to else "",
                code=code_for(engine.device, own_key, known.user, known.changed_to or known.account_key),
            )
            for known, since in found
        ]


def _name(user: str) -> str:
    return fold_name(user).removeprefix("@")


def _known(change: Change, name: str) -> pins.Contact:
    known = pins.contact(change.db, name)
    if known is None:
        raise _unknown(name)
    return known


def _unknown(name: str) -> UnknownUser:
    return UnknownUser("unknown_user", f"no keys of {name} are known here yet; write to them first")


def _keys(known: pins.Contact) -> list[bytes]:
    """The keys that were seen of somebody: the pinned one first."""
    return [known.account_key, *([known.changed_to] if known.changed_to is not None else [])]
