"""How a message is drawn, as lines of text."""

import pytest

from securechat.client.events import MessageState
from securechat.tui.message_lines import Place, Setting, message_lines
from tests.tui.fake import message


def drawn(verified: str, *, sender: str) -> list[str]:
    one = message(1, "I agree to pay", sender=sender, verified=verified, state=MessageState.RECEIVED)
    return ["".join(piece.text for piece in line) for line in message_lines(one, Place(), Setting(width=60))]


@pytest.mark.parametrize("verified", ["changed", "imported", "", "something of next year"])
@pytest.mark.parametrize("sender", ["bob", "alice"])
def test_a_head_says_that_its_sender_is_not_known_to_have_said_it(verified: str, sender: str) -> None:
    """U-04: in the head, where no text can reach."""
    assert drawn(verified, sender=sender)[0] != drawn("known", sender=sender)[0]
    assert " ! " in drawn(verified, sender=sender)[0]


def test_what_came_from_a_file_was_not_stored_by_the_server() -> None:
    assert "stored" in "".join(drawn("known", sender="alice"))
    assert "stored" not in "".join(drawn("imported", sender="alice"))
