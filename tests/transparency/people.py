"""A person who does all that the floor offers, in the order of a client: log in, look up, compare."""

from dataclasses import dataclass, field

from securechat.transparency.distinguished import (
    check_standing,
    distinguished_sizes,
    next_distinguished,
    prove_standing,
)
from securechat.transparency.entries import LabelChange, hash_of_statement
from securechat.transparency.evidence import Compared, compare_heads
from securechat.transparency.heads import TrustedHead, extend
from securechat.transparency.monitor import Made, verify_own
from securechat.transparency.search import Absent, Found, verify_search
from tests.transparency.world import SERVER, Directory, label_of, trusted


@dataclass
class Contact:
    """What was seen of somebody, and up to which size nobody but oneself has to remember it."""

    found: Found
    chain: list[LabelChange]
    waits_for: int | None


@dataclass
class Person:
    user: str
    statements: list[Made] = field(default_factory=list)
    """Made since one looked last."""
    known: TrustedHead | None = None
    own: Found | None = None
    chain: list[LabelChange] = field(default_factory=list)
    reached: int = 0
    contacts: dict[str, Contact] = field(default_factory=dict)

    def change(self, directory: Directory, statement: bytes) -> None:
        """Publish a statement of one's own."""
        entry = directory.publish(self.user, statement).change
        self.statements.append(Made(entry.serial, hash_of_statement(statement), entry.changes))

    def log_in(self, directory: Directory) -> None:
        """Take the newest head, check one's own label and what one was shown of others."""
        before = 0 if self.known is None else self.known.head.size
        self.known = trusted(directory, self.known)
        self._check_own(directory, before)
        for user, contact in list(self.contacts.items()):
            if contact.waits_for is not None and contact.waits_for <= self.known.head.size:
                self.look_up(directory, user)
                self._check_contact(directory, user, contact.waits_for, contact.found.state.revision)

    def look_up(self, directory: Directory, user: str) -> Found | Absent:
        assert self.known is not None
        contact = self.contacts.get(user)
        after = None if contact is None else contact.found.state.revision
        answer = directory.answer(user, after=after, head=self.known.head)
        seen = None if contact is None else contact.found.seen
        found = verify_search(self.known, user, answer, seen=seen)
        if isinstance(found, Found):
            chain = [found.placed.entry.change] if contact is None else [*contact.chain, *found.since]
            waits = next_distinguished(self.known.head.size)
            if contact is not None and contact.waits_for is not None:
                waits = min(waits, contact.waits_for)
            self.contacts[user] = Contact(found, chain, waits)
        return found

    def compare(self, other: "Person", directory: Directory) -> Compared:
        """Compare heads with somebody, with the server's extension on the larger one."""
        assert self.known is not None
        assert other.known is not None
        first, second = sorted((self.known.head, other.known.head), key=lambda head: head.size)
        extension = extend(directory.log, first.size, second) if first.size < second.size else None
        return compare_heads(self.known.head, other.known.head, server_key=SERVER, extension=extension)

    def _check_own(self, directory: Directory, before: int) -> None:
        assert self.known is not None
        after = 0 if self.own is None else self.own.state.revision
        answer = directory.answer(self.user, after=after, head=self.known.head)
        seen = None if self.own is None else self.own.seen
        found = verify_own(self.known, self.user, answer, seen=seen, statements=self.statements)
        self.statements.clear()
        if isinstance(found, Found):
            self.own = found
            self.chain += found.since
        label, _ = label_of(self.user)
        for size in distinguished_sizes(before, self.known.head.size):
            standing = prove_standing(directory, self.known.head, size, label)
            self.reached = check_standing(
                self.known.head, size, standing, label=label, chain=self.chain, reached=self.reached
            )

    def _check_contact(self, directory: Directory, user: str, size: int, revision: int) -> None:
        assert self.known is not None
        contact = self.contacts[user]
        label = contact.found.label
        standing = prove_standing(directory, self.known.head, size, label)
        check_standing(self.known.head, size, standing, label=label, chain=contact.chain, reached=revision)
        contact.waits_for = None
