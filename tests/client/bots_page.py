"""The tables of docs/bots.md, made of the code: ``python -m tests.client.bots_page`` writes them anew."""

import inspect
import re
import types
import typing
from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from securechat.client.calls import verb
from securechat.client.client import Client
from securechat.client.events import Event
from securechat.client.face import VERBS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "bots.md"
MARK: Final = "<!-- made by python -m tests.client.bots_page from here -->\n"

NAMES: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "bool",
    bytes: "base64 string",
    date: "`YYYY-MM-DD`",
    types.NoneType: "null",
}


def tables() -> str:
    """Methods, events and values, each with all its fields."""
    used: dict[str, type] = {}
    methods = [_method(name, used) for name in VERBS]
    events = [_event(kind, used) for kind in typing.get_args(Event)]
    values: dict[str, str] = {}
    while waiting := [name for name in used if name not in values]:
        for name in waiting:
            values[name] = _value(used[name], used)
    return "\n".join(
        [
            "## Methods\n",
            "What stands after `=` may be left out. What each raises is said at `Client`.\n",
            "| method | params | result | does |\n|---|---|---|---|",
            *methods,
            "\n## Events\n",
            "Each has `type`, and the fields of its row.\n",
            "| `type` | fields | means |\n|---|---|---|",
            *events,
            "\n## Values\n",
            "Every field is always there. `timestamp`, `since` and the like are seconds since 1970.\n",
            "| value | fields | means |\n|---|---|---|",
            *(values[name] for name in sorted(values)),
            "",
        ]
    )


def _method(name: str, used: dict[str, type]) -> str:
    made = verb(name)
    params = ", ".join(_parameter(each, used) for each in msgspec.structs.fields(made.parameters))
    return f"| `{name}` | {params} | {_named(made.result, used)} | {_first_sentence(getattr(Client, name))} |"


def _parameter(field: Any, used: dict[str, type]) -> str:
    shown = f"`{field.name}`: {_named(field.type, used)}"
    if field.default is msgspec.NODEFAULT:
        return shown
    return f"{shown} = `{msgspec.json.encode(field.default).decode()}`"


def _event(kind: type[Struct], used: dict[str, type]) -> str:
    return f"| `{kind.__struct_config__.tag}` | {_fields(kind, used)} | {_meaning(kind)} |"


def _value(kind: type, used: dict[str, type]) -> str:
    if issubclass(kind, StrEnum):
        values = ", ".join(f"`{value}`" for value in kind)
        return f"| {kind.__name__} | {values} | {_meaning(kind)} |"
    return f"| {kind.__name__} | {_fields(kind, used)} | {_meaning(kind)} |"


def _fields(kind: type, used: dict[str, type]) -> str:
    hints = typing.get_type_hints(kind, include_extras=True)
    return ", ".join(
        f"`{each.encode_name}`: {_named(hints[each.name], used)}" for each in msgspec.structs.fields(kind)
    )


def _named(kind: Any, used: dict[str, type]) -> str:
    """A type as JSON has it; what has fields of its own is noted."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _named(arguments[0], used) + _bounds(kind.__metadata__)
    if origin in {list, tuple, Sequence}:
        return f"[{_named(arguments[0], used)}]"
    if origin is dict:
        return f"{{{_named(arguments[0], used)}: {_named(arguments[1], used)}}}"
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_named(each, used) for each in arguments)
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if kind not in NAMES:
        used[kind.__name__] = kind
    return NAMES.get(kind) or str(kind.__name__)


def _bounds(metadata: tuple[Any, ...]) -> str:
    (meta,) = metadata
    if meta.le is not None and meta.le < 1 << 62:
        return f" {meta.ge}-{meta.le:g}"
    return f", at most {meta.max_length}" if meta.max_length is not None else ""


def _first_sentence(function: Any) -> str:
    return _one_line((inspect.getdoc(function) or "").split("\n\n")[0])


def _meaning(kind: type) -> str:
    own = kind.__dict__.get("__doc__") or ""
    return _one_line(inspect.cleandoc(own))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("``", "`").replace("|", "\\|")).strip()


def write() -> Iterator[str]:
    text = PAGE.read_text()
    head, _mark, _tables = text.partition(MARK)
    PAGE.write_text(head + MARK + "\n" + tables())
    yield f"wrote {PAGE.name}"


if __name__ == "__main__":
    for said in write():
        print(said)
