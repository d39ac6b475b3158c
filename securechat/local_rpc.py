"""JSON-RPC 2.0, one object per line, over a Unix socket that only its owner reaches.

What a profile's holder and a server's administration have in common: how a call is read and
answered. The socket itself is in `unix_socket.py`.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL: Final = -32603
OURS: Final = -32000
"""A definite no of ours; ``data`` has the exit code a command ends with."""

Params = TypeVar("Params", bound=Struct)


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, or a notification if it has no id."""

    method: str
    params: dict[str, Any] = {}
    id: int | str | None = None
    jsonrpc: str = "2.0"


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class NoCall(Exception):
    """A line that is no call of ours; ``code`` says why, as JSON-RPC counts it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def decode_call(line: bytes) -> Call:
    """Read one line.

    :raises NoCall: it is not JSON-RPC 2.0
    """
    try:
        call = msgspec.json.decode(line, type=Call)
    except msgspec.ValidationError as problem:
        raise NoCall(INVALID_REQUEST, f"not a call: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoCall(PARSE_ERROR, "not JSON") from None
    if call.jsonrpc != "2.0":
        raise NoCall(INVALID_REQUEST, "this is JSON-RPC 2.0")
    return call


def decode_params(call: Call, methods: Mapping[str, type[Params]]) -> Params:
    """The call's parameters, as the table of methods says they are.

    :raises NoCall: there is no such method, or it takes others
    """
    kind = methods.get(call.method)
    if kind is None:
        raise NoCall(UNKNOWN_METHOD, f"there is no method of this name; there are {', '.join(methods)}")
    try:
        return msgspec.convert(call.params, kind)
    except msgspec.ValidationError as problem:
        raise NoCall(INVALID_PARAMS, f"{call.method}: {problem}") from None


def result_of(call: Call, result: Any) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    """The answer to a call; a notification has none."""
    return None if call.id is None else {"jsonrpc": "2.0", "id": call.id, "result": result}


def error_of(call: Call | None, code: int, text: str, *, exit_code: int, kind: str = "") -> dict[str, Any]:
    """A no, with the code a command ends with, and the name of what went wrong if there is one."""
    data = {"exit_code": exit_code} | ({"kind": kind} if kind else {})
    error = {"code": code, "message": text, "data": data}
    return {"jsonrpc": "2.0", "id": call.id if call is not None else None, "error": error}
