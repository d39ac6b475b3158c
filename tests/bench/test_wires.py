"""What the peers' wires count does not depend on how the bytes were cut."""

import pytest

from tests.bench.line import Wire
from tests.bench.peers.jetstream import JetWire
from tests.bench.peers.xmpp import XmppWire, message_to

BROUGHT = b"MSG m.u1 2 $JS.ACK.%d 5\r\nM\r\nSG\r\n"
TAKEN = b'MSG _INBOX.u0 1 29\r\n{"stream":"BENCH","seq":%4d}\r\n'


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_jetstream_counts_what_came_and_acknowledges_the_last_of_each_read(size: int) -> None:
    stream = b"".join(BROUGHT % number + TAKEN % number for number in range(9)) + b"PING\r\n"

    acknowledged, delivered, reply = _all(JetWire("u0", "u1"), stream, size)

    assert (acknowledged, delivered) == (9, 9)
    assert b"PUB $JS.ACK.8 0\r\n\r\n" in reply
    assert b"PONG\r\n" in reply


def test_jetstream_says_when_the_server_did_not_take_a_message() -> None:
    refused = b'{"error":{"code":503}}'

    with pytest.raises(ConnectionError, match="503"):
        JetWire("u0", "u1").take(b"MSG _INBOX.u0 1 %d\r\n%b\r\n" % (len(refused), refused))


@pytest.mark.parametrize("size", [1, 6, 7, 64, 100_000])
def test_xmpp_counts_each_body_once(size: int) -> None:
    stream = message_to("u1@localhost/bench", "chat").encode() * 9 + b"<presence from='u2@localhost/bench'/>"

    assert _all(XmppWire(1, ""), stream, size) == (0, 9, b"")


@pytest.mark.parametrize("size", [1, 6, 7, 64, 100_000])
def test_xmpp_counts_what_the_server_has_taken_and_says_what_it_has_heard(size: int) -> None:
    stream = (
        b"<presence from='u0@localhost/bench'/><r xmlns='urn:xmpp:sm:3'/>"
        b"<a xmlns='urn:xmpp:sm:3' h='3'/><a h='7' xmlns='urn:xmpp:sm:3'/>"
        + message_to("u0@localhost/bench", "chat").encode()
        + b"<r xmlns='urn:xmpp:sm:3'/>"
    )

    acknowledged, delivered, reply = _all(XmppWire(0, "", asks=True), stream, size)

    assert (acknowledged, delivered) == (7, 1)
    assert reply.endswith(b"<a xmlns='urn:xmpp:sm:3' h='2'/>")
    assert XmppWire(0, "<message/>", asks=True).message() == b"<message/><r xmlns='urn:xmpp:sm:3'/>"


@pytest.mark.parametrize("size", [1, 20, 100_000])
def test_xmpp_says_when_a_message_came_back(size: int) -> None:
    with pytest.raises(ConnectionError, match="u1"):
        _all(XmppWire(0, ""), b"<message type='error' from='u1@localhost'><body>x</body></message>", size)


def _all(wire: Wire, stream: bytes, size: int) -> tuple[int, int, bytes]:
    taken = [wire.take(stream[start : start + size]) for start in range(0, len(stream), size)]
    return (
        sum(each.acknowledged for each in taken),
        sum(each.delivered for each in taken),
        b"".join(each.reply for each in taken),
    )
