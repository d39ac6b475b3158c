"""What a login says of the account's password (A-09, N-03)."""

from pathlib import Path

from securechat.client import password_news
from securechat.client.events import Notice
from tests.client.account import AnAccount

LATEST = 1_000_000


def test_n_03_a_password_of_before_that_opens_the_account_again_is_told_once(tmp_path: Path) -> None:
    """A server that came back from a copy: nobody is to believe that the one who knows it is shut out."""
    alice = AnAccount("alice").first(tmp_path)
    told: list[Notice | None] = []
    for changed in (100, 200, 100, 100):
        with alice.changes.change() as change:
            told.append(password_news.news(change.db, changed, latest=LATEST))

    assert [None if each is None else each.code for each in told] == [
        None,
        password_news.CODE,
        password_news.OLDER,
        None,
    ]


def test_a_clock_that_is_behind_makes_no_password_older(tmp_path: Path) -> None:
    alice = AnAccount("alice").first(tmp_path)
    with alice.changes.change() as change:
        assert password_news.news(change.db, 2 * LATEST, latest=4 * LATEST) is None
        assert password_news.news(change.db, 2 * LATEST, latest=LATEST) is None
