"""Random actions under a server that lies: what must never happen does not (D-03, M-10)."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from securechat.client import (
    account_news,
    approving,
    archiving,
    boxes,
    claims,
    handshakes,
    incoming,
    log_chain,
    withheld,
)
from securechat.client.people import credential_of
from securechat.membership import leaf_rules
from securechat.membership.linking import Meeting
from tests.scenarios.evil_server import random_run
from tests.scenarios.evil_server.falsehoods import FALSEHOODS
from tests.scenarios.evil_server.random_run import run
from tests.scenarios.evil_server.undue import UNDUE

ACTIONS: Final = 120
UNTIL_MISSED: Final = 200


def test_whatever_is_lied_nothing_is_sealed_to_a_ghost_or_shown_under_a_wrong_name_and_it_is_named() -> None:
    """D-03, D-04, M-10, M-13."""
    outcome = run(ACTIONS, "the gate")

    assert outcome.wrong == [], "\n".join((*outcome.trace, *outcome.wrong))
    assert outcome.messages > ACTIONS / 4
    assert len(outcome.told) > len(FALSEHOODS) / 3


def without_a_look_at_certificates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "key_package_refusal", lambda *_, **__: None)
    patch.setattr(leaf_rules, "leaf_refusal", lambda *_, **__: None)
    patch.setattr(claims, "offer_refusal", lambda *_: None)


def without_pins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "meet_all", lambda *_, **__: [])
    patch.setattr(claims, "offer_refusal", lambda *_: None)


def without_the_rights_of_a_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handshakes, "judge", lambda *_, **__: None)


def without_who_may_speak(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(incoming, "may_speak", lambda *_: True)


def without_claims_about_the_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_chain, "agrees", lambda *_: True)


def without_a_word_of_what_is_withheld(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(withheld.Withheld, "lasts", lambda *_: False)


def by_the_name_that_the_server_gives(patch: pytest.MonkeyPatch) -> None:
    """Somebody's words are shown as those of whoever was first in the tree."""
    first: list[Any] = []

    def credential(leaf: Any) -> Any:
        first.append(credential_of(leaf))
        return first[0]

    patch.setattr(incoming, "credential_of", credential)


def without_serials_of_boxes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(boxes, "note_serial", lambda *_: None)


def without_serials_of_the_archive(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(archiving.Archive, "seen", 0)


def without_chains_of_lists(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(account_news, "take", lambda *_: None)


def without_what_a_newcomer_promised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approving, "meeting_of", lambda *_: None)


def without_the_code_of_a_link(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Meeting, "has_code", lambda *_: True)


Disabled = Callable[[pytest.MonkeyPatch], None]

MISSED: Final[tuple[tuple[Disabled, str, str], ...]] = (
    (without_a_look_at_certificates, "directory: a device in the name of his account, instead", "sealed"),
    (without_pins, "directory: a device that only the server knows, instead", "never made"),
    (without_the_rights_of_a_room, "removes bob", "was not told"),
    (without_who_may_speak, "speaks", "was not told"),
    (without_claims_about_the_log, "log: closed up", "went otherwise"),
    (without_a_word_of_what_is_withheld, "log: a message kept back", "was not told"),
    (without_serials_of_boxes, "contacts: the one before", "was not told"),
    (without_serials_of_the_archive, "archive: the one before", "was not told"),
    (without_chains_of_lists, "list: a bit of it turned over", "was not told"),
    (without_what_a_newcomer_promised, "link: a device that breaks its promise", "was not told"),
    (without_the_code_of_a_link, "link: relayed", "not theirs"),
    (by_the_name_that_the_server_gives, "log: another sender", "was shown"),
)
"""A check that is taken out of the client, a lie that it is for, and what the run says then."""


@pytest.mark.parametrize(("disable", "lie", "said"), MISSED)
def test_a_check_that_is_not_there_is_missed(
    monkeypatch: pytest.MonkeyPatch, disable: Disabled, lie: str, said: str
) -> None:
    """The run can fail: it looks for itself, and asks no check of the client."""
    for name in FALSEHOODS.keys() - {lie}:
        monkeypatch.delitem(FALSEHOODS, name)
    for name in UNDUE.keys() - {lie}:
        monkeypatch.delitem(UNDUE, name)
    monkeypatch.setattr(random_run, "COLLUDES", float(lie in UNDUE))
    disable(monkeypatch)

    outcome = run(UNTIL_MISSED, "a check is missing")

    assert any(said in each for each in outcome.wrong), outcome.wrong


def test_a_seed_plays_the_same_lives_again() -> None:
    assert run(10, "again") == run(10, "again")
