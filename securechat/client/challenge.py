"""What a login or a registration signs: both sides' nonces and the certificate of this connection (T-06)."""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.link import Link
from securechat.membership.login import Purpose, login_to_sign
from securechat.protocol.messages import LogIn


@dataclass(frozen=True, slots=True)
class Challenge:
    """Our nonce, and the bytes to sign."""

    nonce: bytes
    to_sign: bytes


def challenge_on(link: Link, purpose: Purpose, *, domain: str, user: str, client: str) -> Challenge:
    nonce = secrets.token_bytes(32)
    to_sign = login_to_sign(
        purpose=purpose,
        domain=domain,
        user=user,
        client=client,
        server_nonce=link.hello.nonce,
        client_nonce=nonce,
        certificate_hash=link.certificate.hash,
    )
    return Challenge(nonce, to_sign)


def device_login(link: Link, device_key: Ed25519PrivateKey, *, domain: str, user: str, client: str) -> LogIn:
    """Return the login of a known device: no password is needed."""
    challenge = challenge_on(link, Purpose.DEVICE, domain=domain, user=user, client=client)
    return LogIn(user, client, challenge.nonce, device_key.sign(challenge.to_sign))
