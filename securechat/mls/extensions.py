"""Extensions (RFC 9420 section 13.4): those of the RFC, and the last resort mark.

Code points of draft-ietf-mls-extensions stand in the constants below, because the draft may
still move them.
"""

from collections.abc import Iterable
from typing import Final

from securechat.mls.codec import Enum16, Opaque, Shape, StructT, Uint16, WireStruct, decode, encode
from securechat.mls.credential import Credential
from securechat.mls.errors import ValidationError


class ExtensionType(Enum16):
    """The types we know. On the wire an extension's type is any number: unknown ones are carried."""

    APPLICATION_ID = 0x0001
    RATCHET_TREE = 0x0002
    REQUIRED_CAPABILITIES = 0x0003
    EXTERNAL_PUB = 0x0004
    EXTERNAL_SENDERS = 0x0005
    APP_DATA_DICTIONARY = 0x0006  # draft-ietf-mls-extensions section 4.6


DEFAULT_EXTENSIONS: Final = frozenset(range(0x0001, 0x0006))
"""Supported by everybody and never listed in capabilities (section 7.2)."""

LAST_RESORT_COMPONENT: Final = 0x0004
"""last_resort_key_package, a component in a KeyPackage's app_data_dictionary (draft-ietf-mls-extensions)."""


class Extension(WireStruct, frozen=True):
    """A type and its data; types that we don't know are carried (section 13.4)."""

    extension_type: Uint16
    extension_data: Opaque


Extensions = tuple[Extension, ...]


class RequiredCapabilities(WireStruct, frozen=True):
    """What every member of the group must support (section 11.1)."""

    extension_types: tuple[Uint16, ...] = ()
    proposal_types: tuple[Uint16, ...] = ()
    credential_types: tuple[Uint16, ...] = ()


class ExternalPub(WireStruct, frozen=True):
    external_pub: Opaque


class ExternalSender(WireStruct, frozen=True):
    """Somebody outside the group who may send proposals to it (section 12.1.8.1)."""

    signature_key: Opaque
    credential: Credential


class ComponentData(WireStruct, frozen=True):
    """An entry of an app_data_dictionary (draft-ietf-mls-extensions section 4.6)."""

    component_id: Uint16
    data: Opaque


EXTERNAL_SENDERS: Final = Shape[tuple[ExternalSender, ...]](tuple[ExternalSender, ...])
APP_DATA_DICTIONARY: Final = Shape[tuple[ComponentData, ...]](tuple[ComponentData, ...])
EXTENSIONS: Final = Shape[Extensions](tuple[Extension, ...])


def find_extension(extensions: Extensions, extension_type: int) -> bytes | None:
    """Return the data of the extension of this type, or None if there is none."""
    for extension in extensions:
        if extension.extension_type == extension_type:
            return extension.extension_data
    return None


def find_structure(extensions: Extensions, extension_type: int, expected: type[StructT]) -> StructT | None:
    """Return the decoded extension of this type, or None; DecodeError if it does not decode."""
    data = find_extension(extensions, extension_type)
    return None if data is None else decode(expected, data)


def extension_of(extension_type: int, value: WireStruct) -> Extension:
    """Return an extension that carries ``value``."""
    return Extension(extension_type, encode(value))


def required_capabilities(extensions: Extensions) -> RequiredCapabilities:
    """Return what these GroupContext extensions require; nothing if they don't say."""
    found = find_structure(extensions, ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities)
    return found or RequiredCapabilities()


def external_senders(extensions: Extensions) -> tuple[ExternalSender, ...]:
    """Return the outsiders who may propose (section 12.1.8.1)."""
    data = find_extension(extensions, ExtensionType.EXTERNAL_SENDERS)
    return () if data is None else EXTERNAL_SENDERS.decode(data)


def check_extensions_unique(extensions: Iterable[Extension]) -> None:
    """Section 13.4: there is at most one extension of a type."""
    types = [extension.extension_type for extension in extensions]
    if len(types) != len(set(types)):
        raise ValidationError("duplicate-extension", "13.4", "an extension type occurs twice")


def last_resort_mark() -> Extension:
    """Return the KeyPackage extension that marks a last resort key package."""
    entries = (ComponentData(LAST_RESORT_COMPONENT, b""),)
    return Extension(ExtensionType.APP_DATA_DICTIONARY, APP_DATA_DICTIONARY.encode(entries))


def carries_last_resort_mark(extensions: Extensions) -> bool:
    """Whether these KeyPackage extensions mark a last resort key package."""
    data = find_extension(extensions, ExtensionType.APP_DATA_DICTIONARY)
    if data is None:
        return False
    return any(entry.component_id == LAST_RESORT_COMPONENT for entry in APP_DATA_DICTIONARY.decode(data))
