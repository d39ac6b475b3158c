"""The presentation language of RFC 9420 section 2.1: annotations are the encoding.

A wire structure is a frozen class; its annotations, in order, say how it is encoded::

    class Extension(WireStruct):
        extension_type: Uint16
        extension_data: Opaque

=======================  =====================================================
annotation               encoding
=======================  =====================================================
``Uint8`` .. ``Uint64``  unsigned, network byte order
``Opaque``               opaque<V>
``Bytes32``, FixedBytes  opaque[n]
``tuple[T, ...]``        T<V>
``T | None``             optional<T>
``Enum8``, ``Enum16``    an enum; a value outside it does not decode
a WireStruct             its fields
``Tagged(...)``          select: the tag is told by the value's class
``PresentIf(...)``       select: there or not there, by an earlier field
=======================  =====================================================

Each class is compiled once, at its first use, into a closure that reads and one that writes.
Nothing is allocated for a length before that many bytes are known to be there, and the objects that
items of vectors become are counted while they are read (``room_for``): decoding costs memory in
proportion to the input, and what is nothing but tiny items is refused before it has cost much time.
"""

import enum
import struct
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from securechat.mls.errors import DecodeError, UsageError

MAX_ENCODED: Final = 16 * 1024 * 1024
"""The largest thing we encode or decode. A tree of 1,000 members takes 0.4 MB, 2.9 MB with hybrid keys."""

MAX_VARINT: Final = (1 << 30) - 1

ROOM_FACTOR: Final = 9
ROOM_SPARE: Final = 3 * 1024 * 1024 // 4
"""Bytes that the objects of one decoding may take: so many times the input, and some. With the bytes
themselves that is less than ten times the input and 1 MiB (M-01)."""

MAX_ROOM: Final = 3 * 1024 * 1024
"""... and never more than this: some 20,000 items, which take 30 ms. A commit that adds 256 needs a tenth."""

_MOST_ROOM_AT: Final = (MAX_ROOM - ROOM_SPARE) // ROOM_FACTOR

Room = list[int]
"""One number, shared by all readers of one decoding: the bytes that objects may still take."""


class WireStruct(msgspec.Struct, frozen=True):
    """A structure whose annotations are its encoding."""


class SecretStruct(WireStruct, frozen=True):
    """A structure with secrets in it: its ``repr`` tells nothing but its name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class KeptStruct(WireStruct, frozen=True, dict=True):
    """A structure that keeps its encoding from the first time on: it is signed, tagged, hashed and sent."""


class Enum8(enum.IntEnum):
    """An enum of one byte."""


class Enum16(enum.IntEnum):
    """An enum of two bytes."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An unsigned integer of ``width`` bytes."""

    width: int


@dataclass(frozen=True, slots=True)
class FixedBytes:
    """Exactly ``length`` bytes, without a length in front."""

    length: int


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """A select: ``tag`` is written, then the value; the value's class tells which case it is."""

    tag: type[Enum8 | Enum16]
    cases: Mapping[int, object]


@dataclass(frozen=True, slots=True)
class AtMost:
    """A vector of so many items: one too many ends the reading, however many more there are."""

    count: int


@dataclass(frozen=True, slots=True, eq=False)
class PresentIf:
    """A field that is there only if ``holds(value of an earlier field)``, without a presence byte."""

    field: str
    holds: Callable[[Any], bool]


Uint8 = Annotated[int, Unsigned(1)]
Uint16 = Annotated[int, Unsigned(2)]
Uint32 = Annotated[int, Unsigned(4)]
Uint64 = Annotated[int, Unsigned(8)]
Opaque = bytes
Bytes32 = Annotated[bytes, FixedBytes(32)]

T = TypeVar("T")
StructT = TypeVar("StructT", bound=WireStruct)


class Shape(Generic[T]):
    """The encoding of something that is not one structure: a select, a vector, an optional."""

    __slots__ = ("_cost", "_read", "_write", "annotation")

    def __init__(self, annotation: object) -> None:
        self.annotation = annotation
        self._write, self._read = _compile(annotation)
        self._cost = _cost(annotation)

    def encode(self, value: T) -> bytes:
        return _written(self._write, value)

    def decode(self, data: bytes) -> T:
        value: T = _read_all(self._read, data)
        return value

    def decode_from(self, data: bytes, start: int, room: Room | None = None) -> tuple[T, int]:
        """Decode one value that begins at ``start``; return it and where it ends.

        ``room`` is what several values out of one input have together.
        """
        if room is None:
            room = [room_for(len(data))]
        room[0] -= self._cost
        if room[0] < 0:
            raise DecodeError(_TOO_DENSE)
        value, end = self._read(data, start, len(data), room)
        return value, end


def encode(value: WireStruct) -> bytes:
    """Return the encoding of ``value``; UsageError if a field does not fit its annotation."""
    return _written(_writer(type(value)), value)


def encode_before(value: WireStruct, field: str) -> bytes:
    """Return the encoding of the fields before ``field``: what a signature over the rest covers."""
    return _written(_prefix_writer(type(value), field), value)


def decode(expected: type[StructT], data: bytes) -> StructT:
    """Return the ``expected`` structure that ``data`` encodes, all of it; DecodeError otherwise."""
    value: StructT = _read_all(_reader(expected), data)
    return value


def room_for(length: int) -> int:
    """Return the bytes that the objects made of so many bytes may take, if one structure is made of them."""
    return ROOM_FACTOR * length + ROOM_SPARE if length < _MOST_ROOM_AT else MAX_ROOM


def encode_varint(value: int) -> bytes:
    """Return the shortest variable-size integer for ``value`` (section 2.1.2)."""
    if value < 64:
        return _ONE_BYTE[value]
    if value < 1 << 14:
        return (value | 0x4000).to_bytes(2, "big")
    if value <= MAX_VARINT:
        return (value | 0x8000_0000).to_bytes(4, "big")
    raise UsageError(f"a vector of {value} bytes cannot be encoded")


def encode_opaque(value: bytes) -> bytes:
    """Return ``value`` as opaque<V>."""
    return encode_varint(len(value)) + value


def read_varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the variable-size integer at ``start`` and where it ends (section 2.1.2)."""
    if start >= end:
        raise DecodeError("the data ends where a length was expected")
    first = data[start]
    if first < 0x40:
        return first, start + 1
    stop = start + (2 if first < 0x80 else 4)
    if first >= 0xC0:
        raise DecodeError("a length begins with the reserved prefix 11")
    if stop > end:
        raise DecodeError("the data ends inside a length")
    value = int.from_bytes(data[start:stop], "big")
    if first < 0x80:
        value &= 0x3FFF
        smallest = 1 << 6
    else:
        value &= MAX_VARINT
        smallest = 1 << 14
    if value < smallest:
        raise DecodeError("a length is not in its shortest form")
    return value, stop


_NUMBER_FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_ONE_BYTE: Final = tuple(bytes([value]) for value in range(64))

_OBJECT: Final = 40
_BYTES: Final = 40
_NUMBER: Final = 28
_SLOT: Final = 18
"""Bytes: a structure or tuple with what the collector adds, a ``bytes`` and an ``int`` without their content,
an item's place in the list while it is read and in the tuple that is kept."""

_ENCODING: Final = "encoding"
_TOO_DENSE: Final = "the data is nothing but tiny items: they would take far more memory than it"

# The compiled forms. They are typed loosely because a table of annotations is; the public
# functions above give the types back.
_Writer = Callable[[Any], bytes]
_Reader = Callable[[bytes, int, int, Room], tuple[Any, int]]


def _written(write: _Writer, value: object) -> bytes:
    try:
        data = write(value)
    except (OverflowError, AttributeError, TypeError) as error:
        raise UsageError(f"{type(value).__name__} cannot be encoded: {error}") from error
    if len(data) > MAX_ENCODED:
        raise UsageError(f"{type(value).__name__} would take {len(data)} bytes, and nobody would decode it")
    return data


def _read_all(read: _Reader, data: bytes) -> Any:  # noqa: ANN401 - see above
    length = len(data)
    if length > MAX_ENCODED:
        raise DecodeError(f"{length} bytes are more than the {MAX_ENCODED} we decode")
    value, end = read(data, 0, length, [room_for(length)])
    if end != length:
        raise DecodeError(f"{length - end} bytes follow the end")
    return value


@cache
def _writer(annotation: Any) -> _Writer:  # noqa: ANN401 - an annotation can be anything
    return _compile(annotation)[0]


@cache
def _reader(annotation: Any) -> _Reader:  # noqa: ANN401 - an annotation can be anything
    return _compile(annotation)[1]


@cache
def _compile(annotation: Any) -> tuple[_Writer, _Reader]:  # noqa: ANN401
    annotation = getattr(annotation, "__supertype__", annotation)  # a NewType is what it wraps
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _compile_marked(arguments[0], arguments[1])
    if origin is tuple:
        return _vector(arguments[0])
    if origin in (Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _optional(inner)
    if annotation is bytes:
        return encode_opaque, _read_opaque
    if issubclass(annotation, Enum8 | Enum16):
        return _enum(annotation)
    if issubclass(annotation, WireStruct):
        return _struct(annotation)
    raise TypeError(f"{annotation} has no encoding")


def _compile_marked(inner: object, mark: object) -> tuple[_Writer, _Reader]:
    match mark:
        case Unsigned(width):
            return _unsigned(width)
        case FixedBytes(length):
            return _fixed(length)
        case Tagged():
            return _tagged(mark)
        case AtMost(count):
            return _vector(get_args(inner)[0], count)
        case PresentIf():
            return _compile(inner)
        case _:
            raise TypeError(f"{mark} has no encoding")


def _unsigned(width: int) -> tuple[_Writer, _Reader]:
    def write(value: int) -> bytes:
        return value.to_bytes(width, "big")

    def read(data: bytes, start: int, end: int, _room: Room) -> tuple[int, int]:
        stop = start + width
        if stop > end:
            raise DecodeError("the data ends inside a number")
        return int.from_bytes(data[start:stop], "big"), stop

    return write, read


def _fixed(length: int) -> tuple[_Writer, _Reader]:
    def write(value: bytes) -> bytes:
        if len(value) != length:
            raise UsageError(f"{length} bytes are expected, not {len(value)}")
        return value

    def read(data: bytes, start: int, end: int, _room: Room) -> tuple[bytes, int]:
        stop = start + length
        if stop > end:
            raise DecodeError("the data ends inside a fixed-size field")
        return data[start:stop], stop

    return write, read


def _read_opaque(data: bytes, start: int, end: int, _room: Room) -> tuple[bytes, int]:
    length, start = read_varint(data, start, end)
    stop = start + length
    if stop > end:
        raise DecodeError("the data ends inside a vector")
    return data[start:stop], stop


def _enum(members: type[Enum8 | Enum16]) -> tuple[_Writer, _Reader]:
    width = 1 if issubclass(members, Enum8) else 2
    known = {member.value: member for member in members}

    def write(value: int) -> bytes:
        return value.to_bytes(width, "big")

    def read(data: bytes, start: int, end: int, _room: Room) -> tuple[Any, int]:
        stop = start + width
        if stop > end:
            raise DecodeError(f"the data ends where a {members.__name__} was expected")
        member = known.get(int.from_bytes(data[start:stop], "big"))
        if member is None:
            raise DecodeError(f"{data[start:stop].hex()} is no {members.__name__} that we know")
        return member, stop

    return write, read


def _optional(inner: object) -> tuple[_Writer, _Reader]:
    write_inner, read_inner = _compile(inner)

    def write(value: object) -> bytes:
        return b"\x00" if value is None else b"\x01" + write_inner(value)

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[Any, int]:
        if start >= end:
            raise DecodeError("the data ends where an optional value was expected")
        if data[start] == 0:
            return None, start + 1
        if data[start] != 1:  # section 2.1.1
            raise DecodeError("a presence byte is neither 0 nor 1")
        return read_inner(data, start + 1, end, room)

    return write, read


def _vector(item: object, most: int = MAX_ENCODED) -> tuple[_Writer, _Reader]:
    mark = (get_args(getattr(item, "__supertype__", item)) or (None, None))[1]
    if isinstance(mark, Unsigned) and mark.width in _NUMBER_FORMATS:
        return _numbers(mark.width)
    write_item, read_item = _compile(item)
    each = _SLOT + _cost(item)

    def write(values: tuple[object, ...]) -> bytes:
        return encode_opaque(b"".join([write_item(value) for value in values]))

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[tuple[Any, ...], int]:
        length, start = read_varint(data, start, end)
        stop = start + length
        if stop > end:
            raise DecodeError("the data ends inside a vector")
        values = []
        while start < stop:
            room[0] -= each
            if room[0] < 0:
                raise DecodeError(_TOO_DENSE)
            value, start = read_item(data, start, stop, room)
            values.append(value)
            if len(values) > most:
                raise DecodeError(f"a vector has more than the {most} items we take")
        return tuple(values), stop

    return write, read


def _numbers(width: int) -> tuple[_Writer, _Reader]:
    """A vector of unsigned integers, all at once: a leaf's capabilities are five of these."""
    letter = _NUMBER_FORMATS[width]
    each = 8 + (_NUMBER if width > 1 else 0)

    def write(values: tuple[int, ...]) -> bytes:
        try:
            return encode_opaque(struct.pack(f">{len(values)}{letter}", *values))
        except struct.error as error:
            raise OverflowError(str(error)) from None

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[tuple[int, ...], int]:
        length, start = read_varint(data, start, end)
        stop = start + length
        if stop > end:
            raise DecodeError("the data ends inside a vector")
        if length % width:
            raise DecodeError("the data ends inside a number")
        room[0] -= length // width * each
        if room[0] < 0:
            raise DecodeError(_TOO_DENSE)
        return struct.unpack_from(f">{length // width}{letter}", data, start), stop

    return write, read


def _cost(annotation: Any) -> int:  # noqa: ANN401 - an annotation can be anything
    """Return the bytes that a value's objects take in CPython, its content and vectors' items apart."""
    annotation = getattr(annotation, "__supertype__", annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _cost_of_marked(arguments[0], arguments[1])
    if origin is tuple:
        return _OBJECT + _SLOT
    if origin in (Union, types.UnionType):
        return max(_cost(argument) for argument in arguments if argument is not type(None))
    if annotation is bytes:
        return _BYTES
    if issubclass(annotation, WireStruct):
        fields = _fields(annotation).values()
        return _OBJECT + sum(8 + _cost(hint) for hint in fields)
    return 0  # an enum's members are there already


def _cost_of_marked(inner: object, mark: object) -> int:
    match mark:
        case Unsigned(width):
            return _NUMBER if width > 1 else 0
        case FixedBytes():
            return _BYTES
        case Tagged():
            return 0  # counted when it is known which case it is
        case _:
            return _cost(inner)


def _tagged(mark: Tagged) -> tuple[_Writer, _Reader]:
    width = 1 if issubclass(mark.tag, Enum8) else 2
    compiled = {int(tag): _compile(case) for tag, case in mark.cases.items()}
    writers = {
        cls: (int(tag).to_bytes(width, "big"), compiled[int(tag)][0])
        for tag, case in mark.cases.items()
        for cls in _classes(case)
    }
    readers = {int(tag): (compiled[int(tag)][1], _cost(case)) for tag, case in mark.cases.items()}

    def write(value: object) -> bytes:
        if type(value) not in writers:
            raise UsageError(f"{type(value).__name__} is no case of {mark.tag.__name__}")
        tag, write_case = writers[type(value)]
        return tag + write_case(value)

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[Any, int]:
        stop = start + width
        if stop > end:
            raise DecodeError(f"the data ends where a {mark.tag.__name__} was expected")
        found = readers.get(int.from_bytes(data[start:stop], "big"))
        if found is None:
            raise DecodeError(f"{data[start:stop].hex()} is no {mark.tag.__name__} that we know")
        read_case, cost = found
        room[0] -= cost
        if room[0] < 0:
            raise DecodeError(_TOO_DENSE)
        return read_case(data, stop, end, room)

    return write, read


def _classes(case: Any) -> tuple[type, ...]:  # noqa: ANN401 - an annotation can be anything
    """Return the classes whose values belong to this case of a select."""
    if get_origin(case) is Annotated:
        mark = get_args(case)[1]
        if isinstance(mark, Tagged):
            return tuple(cls for inner in mark.cases.values() for cls in _classes(inner))
        return _classes(get_args(case)[0])
    return (get_origin(case) or case,)


def _fields(cls: type[WireStruct]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {name: hints[name] for name in cls.__struct_fields__}


def _conditions(cls: type[WireStruct]) -> dict[str, PresentIf]:
    found = {}
    for name, hint in _fields(cls).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, PresentIf):
                found[name] = mark
    return found


def _struct(cls: type[WireStruct]) -> tuple[_Writer, _Reader]:
    if _conditions(cls):
        return _conditional_struct(cls)
    compiled = [_compile(hint) for hint in _fields(cls).values()]
    readers = [read for _, read in compiled]

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[Any, int]:
        values = []
        for read_field in readers:
            value, start = read_field(data, start, end, room)
            values.append(value)
        return cls(*values), start

    write = _fields_writer(list(_fields(cls)), [write for write, _ in compiled])
    return _written_once(write) if issubclass(cls, KeptStruct) else write, read


def _written_once(write: _Writer) -> _Writer:
    def write_once(value: KeptStruct) -> bytes:
        kept: dict[str, bytes] = value.__dict__  # the fields are not in it, so it takes no part in comparing
        if _ENCODING not in kept:
            kept[_ENCODING] = write(value)
        return kept[_ENCODING]

    return write_once


def _fields_writer(names: list[str], writers: list[_Writer]) -> _Writer:
    if not names:
        return lambda _value: b""
    if len(names) == 1:
        (write_only,) = writers
        get_only = attrgetter(names[0])
        return lambda value: write_only(get_only(value))
    get_all = attrgetter(*names)
    return lambda value: b"".join(
        [write(field) for write, field in zip(writers, get_all(value), strict=True)]
    )


@cache
def _prefix_writer(cls: type[WireStruct], stop: str) -> _Writer:
    names = list(_fields(cls))
    names = names[: names.index(stop)]
    return _fields_writer(names, [_writer(_fields(cls)[name]) for name in names])


def _conditional_struct(cls: type[WireStruct]) -> tuple[_Writer, _Reader]:
    conditions = _conditions(cls)
    steps = [
        (name, *_compile(_always_there(hint) if name in conditions else hint), conditions.get(name))
        for name, hint in _fields(cls).items()
    ]

    def write(value: object) -> bytes:
        parts = []
        for name, write_field, _, condition in steps:
            field = getattr(value, name)
            if condition is None or condition.holds(getattr(value, condition.field)):
                parts.append(write_field(field))
            elif field is not None:
                raise UsageError(f"{cls.__name__} has no {name} here")
        return b"".join(parts)

    def read(data: bytes, start: int, end: int, room: Room) -> tuple[Any, int]:
        values: dict[str, Any] = {}
        for name, _, read_field, condition in steps:
            if condition is None or condition.holds(values[condition.field]):
                values[name], start = read_field(data, start, end, room)
            else:
                values[name] = None
        return cls(**values), start

    return write, read


def _always_there(hint: Any) -> object:  # noqa: ANN401 - an annotation can be anything
    """Return T of ``Annotated[T | None, PresentIf(...)]``: the condition stands for the presence byte."""
    (inner,) = [argument for argument in get_args(get_args(hint)[0]) if argument is not type(None)]
    return inner
