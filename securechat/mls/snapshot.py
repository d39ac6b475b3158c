"""All that a member keeps of a group, as a value around the one thing that changes: the secret tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.epoch import EpochState, Reading
from securechat.mls.framing import PrivateMessage
from securechat.mls.key_schedule import NO_SECRETS
from securechat.mls.processing import OwnUpdate
from securechat.mls.psk import ExternalPsk, PskSource, ResumptionPsk
from securechat.mls.secret_tree import SecretTree
from securechat.mls.update_path import TreePrivate

MAX_RESUMPTION: Final = 16
"""How many epochs back a resumption key can be asked for (section 8.6 wants a limit)."""

MAX_PAST: Final = 0xFF
"""How many past epochs can be kept: their number is stored in a byte."""


@dataclass(frozen=True, slots=True)
class Past:
    """An epoch that is over, kept to read late messages."""

    reading: Reading
    secrets: SecretTree = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A member's group at one moment, the identity apart."""

    state: EpochState
    secrets: SecretTree = field(repr=False)
    pending: tuple[VerifiedProposal, ...] = ()
    own_updates: Mapping[bytes, OwnUpdate] = field(default_factory=dict, repr=False)
    resumption: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    past_limit: int = 0
    past: tuple[Past, ...] = ()

    @classmethod
    def begin(cls, state: EpochState, encryption_secret: bytes) -> "Snapshot":
        """Return the first epoch of a member."""
        return cls(state, _secret_tree(state, encryption_secret))

    def followed_by(self, state: EpochState, encryption_secret: bytes) -> "Snapshot":
        """Return the next epoch; of this one stays what was asked for, and its resumption key."""
        return Snapshot(
            state=state,
            secrets=_secret_tree(state, encryption_secret),
            resumption=self._resumption_after(),
            past_limit=self.past_limit,
            past=self._past_after(),
        )

    def ended(self) -> "Snapshot":
        """Return what is left to who was removed: the epoch in public, and no secret (section 12.4.2)."""
        own = TreePrivate(self.state.own_leaf, MappingProxyType({}))
        state = replace(self.state, secrets=NO_SECRETS, private=own)
        return Snapshot(state, _secret_tree(state, b""))

    def readable(self, message: PrivateMessage) -> tuple[Reading, SecretTree]:
        """Return what reads the epoch of ``message``: the present one, or a past one that is kept."""
        for past in self.past:
            context = past.reading.context
            if (context.group_id, context.epoch) == (message.group_id, message.epoch):
                return past.reading, past.secrets
        self.state.public.check_place(message)
        return self.state.reading, self.secrets

    def psk_source(self, others: PskSource) -> PskSource:
        """Know this group's resumption keys, and ask ``others`` for the rest."""

        def source(name: ExternalPsk | ResumptionPsk) -> bytes | None:
            context = self.state.context
            if isinstance(name, ResumptionPsk) and name.psk_group_id == context.group_id:
                if name.psk_epoch == context.epoch:
                    return self.state.secrets.resumption_psk
                if name.psk_epoch in self.resumption:
                    return self.resumption[name.psk_epoch]
            return others(name)

        return source

    def _resumption_after(self) -> dict[int, bytes]:
        known = {**self.resumption, self.state.context.epoch: self.state.secrets.resumption_psk}
        return {epoch: known[epoch] for epoch in sorted(known)[-MAX_RESUMPTION:]}

    def _past_after(self) -> tuple[Past, ...]:
        if not self.past_limit:
            return ()
        return (*self.past, Past(self.state.reading, self.secrets))[-self.past_limit :]


def _secret_tree(state: EpochState, encryption_secret: bytes) -> SecretTree:
    return SecretTree(state.suite, encryption_secret, state.public.tree.leaf_count)
