"""The devices of one's own account as they are typed and read (D-02, M-17)."""

import pytest

from securechat.client.errors import Forbidden
from securechat.client.events import OwnDevice
from securechat.client.own_devices import device_and_name, meant, own_device_text, removed_text, to_type


def a_device(number: str, name: str = "", *, seen: int = 0, idle: bool = False) -> OwnDevice:
    return OwnDevice(device=number * 26, name=name, this=False, since=0, seen=seen, idle=idle)


DESK, PHONE, OLD = a_device("d", "desk"), a_device("p", "the phone"), a_device("o", "desk")


def test_a_device_without_a_name_is_called_by_its_beginning() -> None:
    device = OwnDevice(device="abcdefghijklmnop", name="", this=True, since=0, seen=0)
    assert own_device_text(device, str) == "abcdefgh: this one"


def test_one_that_was_not_seen_for_45_days_is_marked() -> None:
    """M-17."""
    text = own_device_text(a_device("p", "phone", seen=7, idle=True), str)
    assert text == "phone (pppppppp): last seen 7, not seen for 45 days: remove it with revoke if it is gone"


@pytest.mark.parametrize(("typed", "found"), [("the phone", PHONE), ("pppp", PHONE), ("dddddd", DESK)])
def test_a_device_is_meant_by_its_name_or_by_how_its_id_begins(typed: str, found: OwnDevice) -> None:
    assert meant([DESK, PHONE, OLD], typed) is found


@pytest.mark.parametrize("typed", ["", "desk", "ppp", "nobody", "phone"])
def test_by_less_or_by_the_name_of_two_nobody_is(typed: str) -> None:
    with pytest.raises(Forbidden):
        meant([DESK, PHONE, OLD], typed)


def test_what_is_given_to_type_means_the_one_device() -> None:
    devices = [DESK, PHONE, OLD, a_device("t", "tablet-2"), a_device("x")]
    assert [to_type(each, devices) for each in devices] == [
        *("dddddddd", "pppppppp", "oooooooo", "tablet-2", "xxxxxxxx")
    ]
    assert all(meant(devices, to_type(each, devices)) is each for each in devices)


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("desk study", ("desk", "study")),
        ("desk the old one", ("desk", "the old one")),
        ('"the phone" my phone', ("the phone", "my phone")),
        ('desk "the old one"', ("desk", "the old one")),
        ("desk", ("desk", "")),
        ("", ("", "")),
    ],
)
def test_a_name_of_several_words_stands_in_quotes(typed: str, taken: tuple[str, str]) -> None:
    assert device_and_name(typed) == taken


def test_of_how_many_conversations_it_is_out_is_said() -> None:
    said = removed_text("phone", out=1, conversations=2)
    assert said == "phone is removed: it is out of 1 of 2 conversations"
