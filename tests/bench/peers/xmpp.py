"""What the XMPP servers share: SCRAM-SHA-1 over direct TLS, one resource, messages to full addresses.

XMPP acknowledges nothing by itself and XEP-0198 would double the stanzas, so the delivery counts
as the acknowledgement. An end tag of a body stands for a message: no body holds another tag.
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
BODY_ENDS: Final = b"</body>"
_REFUSAL: Final = re.compile(rb"<stream:error|<failure|type=['\"]error")


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
    def __init__(self, number: int, message: str) -> None:
        self.number = number
        self._message = message.encode()
        self._rest = b""

    def message(self) -> bytes:
        return self._message

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        if refusal := _REFUSAL.search(data):
            raise ConnectionError(data[refusal.start() :][:500].decode(errors="replace"))
        self._rest = data[-(len(BODY_ENDS) - 1) :]
        return Taken(0, data.count(BODY_ENDS), b"")


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


class Xmpp:
    """All of a dialect but its server."""

    acknowledges = False
    lacks: frozenset[str] = frozenset()

    async def log_in(self, port: int, number: int, heard: Heard | None = None) -> Line:
        """A client that is available, which is also what brings the messages that were kept."""
        line = await connect(port, number)
        line.write(b"<presence/>")
        if heard is not None:
            line.heard = heard
        line.speak(XmppWire(number, message_to(f"u{number ^ 1}@{DOMAIN}/bench", "chat")))
        return line

    def keep_alive(self, line: Line) -> None:
        line.write(b" ")

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:
        """Everybody hears everybody who comes, and who speaks hears itself: that is how rooms are here."""
        found = []
        for number in range(size):
            line = await connect(port, number)
            await _ask(line, JOIN.format(ROOM, f"u{number}"), b"<subject")
            line.speak(XmppWire(number, message_to(ROOM, "groupchat")))
            found.append(line)
        return found

    async def leave(self, receiver: Line) -> None:
        receiver.close()

    async def drain(self, port: int, receiver: Line) -> Line:
        assert isinstance(receiver.wire, XmppWire)
        return await self.log_in(port, receiver.wire.number, receiver.heard)
