"""The socket's methods, made of the signatures in `face.py`, and the lines they travel in.

A line is one JSON-RPC 2.0 object. A list that is too long for one line comes in parts:
notifications ``part`` {id, items}, then the answer with the rest; the list is all of them in order.
"""

import functools
import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from securechat.client.face import VERBS, Face, LocalId
from securechat.client.holder import MAX_LINE
from securechat.local_rpc import Nothing

PART_BYTES: Final = MAX_LINE // 2
"""A part takes another item only while it is shorter than this."""

SUBSCRIBE: Final = "subscribe"
FOLLOW: Final = "follow"


class Since(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a subscriber takes up: the number of the last message it has dealt with; null: from now on."""

    since: LocalId | None = None


STREAMS: Final[dict[str, type[Struct]]] = {SUBSCRIBE: Since, FOLLOW: Nothing}
"""Methods that are no verbs: after them notifications come, until the line ends."""

NO_VALUE: Final = Raw(b"null")


class Verb(Struct, frozen=True):
    """A method: what it is called with, and what its result is."""

    name: str
    parameters: type[Struct]
    result: Any
    is_list: bool


class Answer(Struct, frozen=True):
    """What a holder says: the answer to a call, or a notification."""

    id: int | str | None = None
    method: str = ""
    params: Raw = NO_VALUE
    result: Raw = NO_VALUE
    error: Raw = NO_VALUE


class Part(Struct, frozen=True):
    """Some items of a long list, before the answer."""

    id: int
    items: Raw


@functools.cache
def signature(name: str) -> inspect.Signature:
    """How a verb is called, without ``self``."""
    whole = inspect.signature(getattr(Face, name))
    return whole.replace(parameters=list(whole.parameters.values())[1:])


@functools.cache
def verb(name: str) -> Verb:
    """The verb of this name; made when it is first used, since a one-shot uses two of them."""
    types = typing.get_type_hints(getattr(Face, name), include_extras=True)
    result = types.pop("return")
    fields: list[Any] = [
        (each.name, types[each.name])
        if each.default is inspect.Parameter.empty
        else (each.name, types[each.name], each.default)
        for each in signature(name).parameters.values()
    ]
    parameters = msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)
    return Verb(name, parameters, result, typing.get_origin(result) is list)


class _Parameters(Mapping[str, type[Struct]]):
    """Every method with its parameters."""

    def __getitem__(self, name: str) -> type[Struct]:
        if name in VERBS:
            return verb(name).parameters
        return STREAMS[name]

    def __iter__(self) -> Iterator[str]:
        yield from VERBS
        yield from STREAMS

    def __len__(self) -> int:
        return len(VERBS) + len(STREAMS)


PARAMETERS: Final = _Parameters()


def in_parts(items: list[Any]) -> Iterator[bytes]:
    """A list as JSON arrays, each short enough for a line; at least one."""
    part: list[bytes] = []
    size = 0
    for item in items:
        encoded = msgspec.json.encode(item)
        if part and size + len(encoded) > PART_BYTES:
            yield b"[" + b",".join(part) + b"]"
            part, size = [], 0
        part.append(encoded)
        size += len(encoded) + 1
    yield b"[" + b",".join(part) + b"]"


def notification(method: str, params: Any) -> bytes:  # noqa: ANN401 - JSON
    return _line({"jsonrpc": "2.0", "method": method, "params": params})


def part_of(call_id: int | str, items: bytes) -> bytes:
    return notification("part", {"id": call_id, "items": Raw(items)})


def answer_to(call_id: int | str, result: bytes) -> bytes:
    return _line({"jsonrpc": "2.0", "id": call_id, "result": Raw(result)})


def _line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"
