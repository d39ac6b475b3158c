"""Credentials (RFC 9420 section 5.3). What an identity means is for the application to say."""

from typing import Annotated

from securechat.mls.codec import Enum16, Opaque, Tagged, WireStruct


class CredentialType(Enum16):
    BASIC = 1
    X509 = 2


class Certificate(WireStruct, frozen=True):
    cert_data: Opaque


class BasicCredential(WireStruct, frozen=True):
    """A bare identity: bytes that the application gives a meaning to."""

    identity: Opaque

    @property
    def credential_type(self) -> CredentialType:
        return CredentialType.BASIC


class X509Credential(WireStruct, frozen=True):
    """A chain of DER certificates, the member's own first."""

    certificates: tuple[Certificate, ...]

    @property
    def credential_type(self) -> CredentialType:
        return CredentialType.X509


Credential = Annotated[
    BasicCredential | X509Credential,
    Tagged(CredentialType, {CredentialType.BASIC: BasicCredential, CredentialType.X509: X509Credential}),
]
