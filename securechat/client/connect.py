"""How a link to a trusted server comes about: connect, let it prove itself, judge, ask, pin."""

import ssl
from collections.abc import Callable

from securechat.client.config import Home, ServerAddress
from securechat.client.errors import ServerUntrusted
from securechat.client.link import Link, Push
from securechat.client.tls import authority_context, is_self_signed, key_context, verification_reason
from securechat.client.trust import (
    Pin,
    Pins,
    Trust,
    Verdict,
    check_domain,
    check_proof,
    judge,
    pin_of,
    unknown,
)
from securechat.protocol.messages import ServerHello


async def open_trusted(
    address: ServerAddress,
    home: Home,
    trust: Trust,
    *,
    account_pin: Pin | None = None,
    push: Callable[[Push], None] | None = None,
) -> Link:
    """Open a link to a server that is trusted, asking and pinning where that is due.

    :param account_pin: what the account remembers of its server, for addresses without a pin
    :raises ServerUntrusted, ServerChanged: not a byte of a credential was sent
    :raises Unreachable: there is no server, or not one of ours
    """
    pins = Pins(home)
    pinned = pins.get(address)
    pin = pinned or account_pin
    while True:
        link, vouched = await _connect(address, trust, pin, push)
        try:
            hello = await link.greeted()
            check_proof(address, hello, link.certificate)
            verdict = judge(address, hello, trust=trust, pin=pin, vouched=vouched, pins=home.pins)
            check_domain(address, hello)
            if verdict is Verdict.ASK:
                # The question may take long: the server would not wait for the answer.
                await link.close()
                await _ask(address, hello, trust)
            if verdict is not Verdict.KNOWN or pinned is None:
                home.make()
                pins.put(address, pin_of(hello), instead_of=pinned)
            if verdict is not Verdict.ASK:
                return link
            pin = pinned = pin_of(hello)
        except BaseException:
            await link.close()
            raise


async def _connect(
    address: ServerAddress, trust: Trust, pin: Pin | None, push: Callable[[Push], None] | None
) -> tuple[Link, bool]:
    """Connect as the trust demands; say whether an authority vouches for the certificate."""
    if trust.cafile is None and (pin is not None or trust.fingerprint is not None):
        return await Link.connect(address, key_context(), push), False
    try:
        link = await Link.connect(address, authority_context(trust.cafile), push)
    except ssl.SSLCertVerificationError as problem:
        if trust.cafile is not None or not is_self_signed(problem):
            raise _not_vouched(address, verification_reason(problem)) from problem
        return await Link.connect(address, key_context(), push), False
    reason = link.certificate.authority_refusal(address.host) if link.is_open else None
    if reason is not None:
        await link.close()
        raise _not_vouched(address, reason)
    return link, True


async def _ask(address: ServerAddress, hello: ServerHello, trust: Trust) -> None:
    refused = unknown(address, hello)
    if trust.confirm is None or not await trust.confirm(refused.fingerprint or ""):
        raise refused


def _not_vouched(address: ServerAddress, reason: str) -> ServerUntrusted:
    return ServerUntrusted(f"the server at {address} is not trusted: {reason}")
