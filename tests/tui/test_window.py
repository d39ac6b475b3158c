"""The part of a conversation that is in memory."""

from securechat.tui.window import MOST, PAGE, Note, Window
from tests.tui.fake import message


def page(first: int, last: int) -> list[object]:
    return [message(at, str(at)) for at in range(first, last + 1)]


def window_at(first: int, last: int) -> Window:
    window = Window()
    window.start(page(first, last), wanted=PAGE)  # type: ignore[arg-type]
    return window


def test_a_short_page_is_the_start_of_it_all() -> None:
    assert window_at(1, 50).at_start
    assert not window_at(1, PAGE).at_start


def test_older_pages_push_the_newest_messages_out() -> None:
    window = window_at(10_001, 10_100)
    for first in range(9_901, 9_000, -PAGE):
        window.add_before(page(first, first + PAGE - 1), wanted=PAGE)  # type: ignore[arg-type]
    assert len(window.messages) == MOST
    assert not window.at_end
    assert window.first == 9_001
    for _ in range(10):
        window.add_after(page(window.last + 1, window.last + PAGE), wanted=PAGE)  # type: ignore[arg-type]
    assert len(window.messages) == MOST
    assert not window.at_start


def test_a_page_that_overlaps_says_nothing_twice() -> None:
    window = window_at(50, 149)
    window.add_before(page(1, 60), wanted=PAGE)  # type: ignore[arg-type]
    assert [one.local_id for one in window.messages] == list(range(1, 150))
    assert window.at_start


def test_a_message_is_put_in_its_place_or_at_the_end_and_nowhere_else() -> None:
    window = window_at(10, 20)
    assert window.put(message(15, "changed"))
    assert not window.put(message(15, "changed"))
    assert window.put(message(21, "new"))
    assert not window.put(message(3, "older than what is here"))
    window.at_end = False
    assert not window.put(message(30, "far below"))
    assert [one.text for one in window.messages[-2:]] == ["20", "new"]


def test_words_of_ours_stand_where_they_were_said() -> None:
    window = window_at(1, 2)
    window.tell("between")
    window.put(message(3, "after"))
    assert [one.text for one in window.items()] == ["1", "2", "between", "after"]
    assert isinstance(window.items()[2], Note)
    window.forget_notes()
    assert len(window.items()) == 3
