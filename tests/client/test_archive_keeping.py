"""When an account's archive is looked after."""

from securechat.client.archive_keeping import EARLY, EVERY


def test_a_new_device_writes_as_often_as_an_old_one() -> None:
    """Its first rounds are for what others hand over; what it says itself waits no longer for them."""
    assert max(EARLY) <= EVERY
