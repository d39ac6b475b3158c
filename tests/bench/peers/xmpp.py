"""What the XMPP servers share: SCRAM-SHA-1 over direct TLS, one resource, messages to full addresses.

XMPP acknowledges nothing by itself, so the delivery counts as the acknowledgement. In the forms that
are ``acked`` each message is followed by a request of XEP-0198, and the server's answer counts: it is
what tells a sender that the server has it. Only who sends asks, which is the least work.
An end tag of a body stands for a message: no body holds another tag.
"""

import base64
import functools
import hashlib
import hmac
import re
import secrets
from typing import Final

from tests.bench.dialect import context_for
from tests.bench.line import Heard, Line, Taken

MESSAGE_BYTES: Final = 1_000
DOMAIN: Final = "localhost"
ROOM: Final = "room@conference.localhost"
PASSWORD, SALT, ITERATIONS = b"not a secret", b"0123456789abcdef", 4_096
STREAM: Final = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL: Final = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND: Final = (
    "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    "<resource>bench</resource></bind></iq>"
)
JOIN: Final = "<presence to='{}/{}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
ENABLE: Final = "<enable xmlns='urn:xmpp:sm:3'/>"
REQUEST: Final = b"<r xmlns='urn:xmpp:sm:3'/>"
_ANSWER: Final = b"<a xmlns='urn:xmpp:sm:3' h='%d'/>"
_REFUSAL: Final = re.compile(rb"<stream:error|<failure|<failed|type=['\"]error")
_TAG: Final = re.compile(
    rb"(?P<body></body>)|(?P<stanza><(?:message|presence|iq)[\s/>])"
    rb"|<a\s[^>]*h=['\"](?P<handled>\d+)|(?P<asked><r[\s/>])"
)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha1")


@functools.cache
def salted() -> bytes:
    """The same password and salt for everybody: only clients pay for it."""
    return hashlib.pbkdf2_hmac("sha1", PASSWORD, SALT, ITERATIONS)


def stored_key() -> bytes:
    return hashlib.sha1(_hmac(salted(), b"Client Key"), usedforsecurity=False).digest()


def server_key() -> bytes:
    return _hmac(salted(), b"Server Key")


class XmppWire:
    """``asks`` for an acknowledgement behind each message; it begins with what follows ``<enabled/>``."""

    def __init__(self, number: int, message: str, *, asks: bool = False) -> None:
        self.number = number
        self._message = message.encode() + (REQUEST if asks else b"")
        self._rest = b""
        self._heard = 0
        """Stanzas that have come: the server asks for them now and then."""
        self._handled = 0
        """Messages of ours that the server has taken."""

    def message(self) -> bytes:
        return self._message

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        end = data.rfind(b">") + 1  # no tag is looked at before it is whole
        whole, self._rest = data[:end], data[end:]
        if refusal := _REFUSAL.search(whole):
            raise ConnectionError(whole[refusal.start() :][:500].decode(errors="replace"))
        delivered, before, reply = 0, self._handled, b""
        for tag in _TAG.finditer(whole):
            match tag.lastgroup:
                case "body":
                    delivered += 1
                case "stanza":
                    self._heard += 1
                case "handled":
                    self._handled = int(tag["handled"])
                case _:
                    reply = _ANSWER % self._heard
        return Taken(self._handled - before, delivered, reply)


def message_to(address: str, kind: str) -> str:
    return f"<message type='{kind}' to='{address}'><body>{'x' * MESSAGE_BYTES}</body></message>"


async def _ask(line: Line, question: str, ends: bytes) -> bytes:
    """Say something and read up to what ends the answer."""
    line.write(question.encode())
    answer = b""
    while ends not in answer:
        part = await line.read()
        answer += part
        if not part or _REFUSAL.search(answer):
            raise ConnectionError(f"refused: {answer.decode(errors='replace')}")
    return answer


async def _prove(line: Line, number: int) -> None:
    """SCRAM-SHA-1 (RFC 5802) without channel binding."""
    first = f"n=u{number},r={secrets.token_hex(12)}"
    opening = base64.b64encode(f"n,,{first}".encode()).decode()
    answer = await _ask(line, f"<auth {SASL} mechanism='SCRAM-SHA-1'>{opening}</auth>", b"</challenge>")
    challenge = base64.b64decode(answer.split(b">", 1)[1].split(b"<", 1)[0]).decode()
    last = f"c=biws,{challenge.split(',', 1)[0]}"
    signature = _hmac(stored_key(), f"{first},{challenge},{last}".encode())
    key = _hmac(salted(), b"Client Key")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    response = base64.b64encode(f"{last},p={proof}".encode()).decode()
    await _ask(line, f"<response {SASL}>{response}</response>", b"</success>")


async def connect(port: int, number: int) -> Line:
    """A client that is logged in and has a full address."""
    line = await Line.connect(port, context_for())
    await _ask(line, STREAM, b"</stream:features>")
    await _prove(line, number)
    await _ask(line, STREAM, b"</stream:features>")
    await _ask(line, BIND, b"</iq>")
    return line


async def _enable(line: Line) -> None:
    """Begin to count (XEP-0198 section 3); what comes behind the answer counts already."""
    answer = await _ask(line, ENABLE, b"<enabled")
    while b">" not in answer.partition(b"<enabled")[2]:
        answer += await line.read()
    if rest := answer.partition(b"<enabled")[2].partition(b">")[2]:
        line.early(rest)


class Xmpp:
    """All of a dialect but its server."""

    lacks: frozenset[str] = frozenset()

    def __init__(self, *, acked: bool = False, example: bool = False) -> None:
        """Choose a form.

        :param acked: whether senders ask for an acknowledgement behind each message
        :param example: whether the client modules of the package's example configuration run
        """
        self.acknowledges = acked
        self.example = example

    async def log_in(self, port: int, number: int, heard: Heard | None = None) -> Line:
        """A client that is available, which is also what brings the messages that were kept."""
        line = await connect(port, number)
        line.write(b"<presence/>")
        if heard is not None:
            line.heard = heard
        asks = self.acknowledges and number % 2 == 0
        if asks:
            await _enable(line)
        line.speak(XmppWire(number, message_to(f"u{number ^ 1}@{DOMAIN}/bench", "chat"), asks=asks))
        return line

    def keep_alive(self, line: Line) -> None:
        line.write(b" ")

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        """Who sends has an even number."""
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:
        """Everybody hears everybody who comes, and who speaks hears itself: that is how rooms are here."""
        found = []
        for number in range(size):
            line = await connect(port, number)
            await _ask(line, JOIN.format(ROOM, f"u{number}"), b"<subject")
            asks = self.acknowledges and number == 0
            if asks:
                await _enable(line)
            line.speak(XmppWire(number, message_to(ROOM, "groupchat"), asks=asks))
            found.append(line)
        return found

    async def leave(self, receiver: Line) -> None:
        receiver.close()

    async def drain(self, port: int, receiver: Line) -> Line:
        assert isinstance(receiver.wire, XmppWire)
        return await self.log_in(port, receiver.wire.number, receiver.heard)
