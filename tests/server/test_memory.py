"""When memory is asked back: after a crowd, and not for every visitor (O-01)."""

from securechat.server.memory import CROWD, Crowd, give_back


def test_it_is_asked_for_once_after_a_crowd_has_gone() -> None:
    crowd = Crowd()
    assert not crowd.has_gone(0)
    crowd.grew(CROWD + 10)
    assert not crowd.has_gone(11)
    assert crowd.has_gone(10)
    assert not crowd.has_gone(10)
    assert not crowd.has_gone(0)


def test_a_crowd_that_comes_back_counts_anew() -> None:
    crowd = Crowd()
    for _ in range(2):
        crowd.grew(CROWD)
        assert crowd.has_gone(0)


def test_asking_does_no_harm() -> None:
    give_back()
    give_back()
