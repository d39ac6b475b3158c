"""M-16: members with ts-mls and with our library in one group, through random scripts."""

from typing import Final

import pytest

from securechat.mls.cipher_suite import PRIVATE_HYBRID_NUMBER
from tests.interop.node import INSTALL_SECONDS
from tests.interop.peer import Peer
from tests.interop.script import ScriptFailed, run_script

pytestmark = pytest.mark.timeout(60 + 2 * INSTALL_SECONDS)  # npm may take its time before the first begins

STEPS: Final = 100
SCRIPTS: Final = {"1": (3, 8), "2": (PRIVATE_HYBRID_NUMBER, 13)}
"""Suite and seed of the gate's script, by major version; ``python -m tests.interop`` runs others."""
MUST_HAPPEN: Final = (
    *("commits by ours", "commits by theirs", "commits by theirs in private"),
    *("empty commits by ours", "empty commits by theirs", "races lost", "restarts"),
    *("Add by value, committed by ours", "Add by value, committed by theirs"),
    *("Add by reference, committed by ours", "Add by reference, committed by theirs"),
    *("Remove by value, committed by ours", "Remove by reference, committed by ours"),
    *("Update by reference, committed by ours", "ReInit by value, committed by ours"),
    *(
        "PreSharedKeyProposal by value, committed by ours",
        "PreSharedKeyProposal by value, committed by theirs",
    ),
    *("external commits by ours, resync", "external commits by theirs", "proposals from outside"),
    *("reinits by", "branches by"),
    *("messages from ours read by theirs", "messages from theirs read by ours"),
)


def test_m_16_both_kinds_of_members_agree_after_every_commit(peer: Peer) -> None:
    suite, seed = SCRIPTS[peer.major]

    report = run_script(peer, suite=suite, seed=seed, steps=STEPS)

    print(report)
    assert report.steps == STEPS
    assert 5 <= report.counts["most members"] <= 8
    assert [what for what in MUST_HAPPEN if not any(did.startswith(what) for did in report.counts)] == []


def test_a_script_says_how_to_have_it_again(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One member exports another secret: the script stops and names version, suite, seed and step."""
    honest = peer.ask

    def bent(_peer: Peer, verb: str, **said: object) -> object:
        value = honest(verb, **said)
        return {**value, "exported": "00" * 32} if verb == "view" and value["epoch"] == 2 else value

    monkeypatch.setattr(Peer, "ask", bent)
    with pytest.raises(
        ScriptFailed, match=rf"ts-mls {peer.version}, suite 3, seed 4, step \d+: .*in exported"
    ):
        run_script(peer, suite=3, seed=4, steps=STEPS)
