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


def test_xmpp_says_when_a_message_came_back() -> None:
    with pytest.raises(ConnectionError, match="u1"):
        XmppWire(0, "").take(b"<message type='error' from='u1@localhost'><body>x</body></message>")


def _all(wire: Wire, stream: bytes, size: int) -> tuple[int, int, bytes]:
    taken = [wire.take(stream[start : start + size]) for start in range(0, len(stream), size)]
    return (
        sum(each.acknowledged for each in taken),
        sum(each.delivered for each in taken),
        b"".join(each.reply for each in taken),
    )
