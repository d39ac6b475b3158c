from pathlib import Path

import pytest

from securechat.client.config import Home, ServerAddress
from securechat.client.errors import ServerChanged, ServerUntrusted, StoreDamaged
from securechat.client.trust import Pin, Pins, Trust, Verdict, judge, pin_of
from securechat.membership.login import FingerprintRefused, domain_of, fingerprint
from securechat.protocol.messages import ServerHello

SERVER = ServerAddress("localhost", 7443)
KEY = bytes(range(32))
OTHER = bytes(32)
PINS = Path("pins.json")
ASKED = Trust()


def hello(key: bytes = KEY, domain: str = "example.org") -> ServerHello:
    return ServerHello(1, domain, key, bytes(64), bytes(32))


def verdict(
    trust: Trust = ASKED, pin: Pin | None = None, *, key: bytes = KEY, vouched: bool = False
) -> Verdict:
    return judge(SERVER, hello(key), trust=trust, pin=pin, vouched=vouched, pins=PINS)


PINNED = Pin(KEY, "example.org")


@pytest.mark.parametrize(
    ("trust", "pin", "vouched", "expected"),
    [
        (Trust(), None, False, Verdict.ASK),
        (Trust(), None, True, Verdict.NEW),
        (Trust(accept_new=True), None, False, Verdict.NEW),
        (Trust(fingerprint=fingerprint(KEY)), None, False, Verdict.NEW),
        (Trust(), PINNED, False, Verdict.KNOWN),
        (Trust(accept_new=True), PINNED, True, Verdict.KNOWN),
        (Trust(fingerprint=fingerprint(KEY)), PINNED, False, Verdict.KNOWN),
        (Trust(fingerprint=fingerprint(KEY)), Pin(OTHER, "example.org"), False, Verdict.NEW),
    ],
)
def test_what_is_known_decides(trust: Trust, pin: Pin | None, vouched: bool, expected: Verdict) -> None:  # noqa: FBT001 - a column of the table
    assert verdict(trust, pin, vouched=vouched) is expected


@pytest.mark.parametrize("trust", [Trust(), Trust(accept_new=True), Trust(cafile=Path("ca.pem"))])
def test_a_changed_key_is_a_hard_stop_with_both_fingerprints(trust: Trust) -> None:
    """T-05: neither accepting new servers nor an authority's word gets past it."""
    with pytest.raises(ServerChanged) as stopped:
        verdict(trust, PINNED, key=OTHER, vouched=True)

    assert (stopped.value.old, stopped.value.new) == (fingerprint(KEY), fingerprint(OTHER))
    assert stopped.value.old in str(stopped.value)
    assert stopped.value.new in str(stopped.value)


def test_a_known_key_with_another_domain_is_a_hard_stop_too() -> None:
    with pytest.raises(ServerChanged, match="another domain"):
        verdict(Trust(), Pin(KEY, "elsewhere.org"))


def test_a_fingerprint_that_was_given_must_be_the_servers() -> None:
    for pin in (None, PINNED, Pin(OTHER, "example.org")):
        with pytest.raises(ServerUntrusted, match="not the one you gave"):
            verdict(Trust(fingerprint=fingerprint(OTHER), accept_new=True), pin, vouched=True)


def test_what_is_no_fingerprint_is_refused_before_anything_else() -> None:
    with pytest.raises(FingerprintRefused):
        Trust(fingerprint="SHA256:nonsense")


def test_pins_are_kept_privately_and_found_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    other = ServerAddress("::1", 7443)

    assert Pins(home).get(SERVER) is None
    Pins(home).put(SERVER, PINNED, instead_of=None)
    Pins(home).put(other, Pin(OTHER, domain_of(OTHER)), instead_of=None)

    assert Pins(home).get(SERVER) == PINNED == pin_of(hello())
    assert Pins(home).get(other) == Pin(OTHER, domain_of(OTHER))
    assert home.pins.stat().st_mode & 0o777 == 0o600


def test_a_pin_that_another_process_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    pins = Pins(Home(tmp_path))
    pins.put(SERVER, PINNED, instead_of=None)

    with pytest.raises(ServerChanged):
        pins.put(SERVER, Pin(OTHER, "example.org"), instead_of=None)
    pins.put(SERVER, PINNED, instead_of=None)
    pins.put(SERVER, Pin(OTHER, "example.org"), instead_of=PINNED)

    assert pins.get(SERVER) == Pin(OTHER, "example.org")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":1,"pins":{"a":1}}', b"\xff"])
def test_a_broken_file_of_pins_is_not_an_empty_one(tmp_path: Path, content: bytes) -> None:
    """Taking it for empty would ask the user to trust anybody anew."""
    home = Home(tmp_path)
    home.pins.write_bytes(content)
    home.pins.chmod(0o600)

    with pytest.raises(StoreDamaged, match="damaged"):
        Pins(home).get(SERVER)
