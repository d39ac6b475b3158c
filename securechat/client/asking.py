"""One call after the other to the process that holds a profile, on a blocking socket.

For a one-shot of the shell: an event loop and the models of the client are more than half of what it
would cost. What the methods are is said in `face.py`; here their parameters and results are plain JSON.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from securechat.client.config import ProfileFolder
from securechat.client.errors import HolderLeft, NoHolder
from securechat.client.holder import (
    CONNECT_SECONDS,
    MAX_LINE,
    READY,
    place_of,
    refused,
    served_by_another,
    silent,
    too_busy,
)
from securechat.unix_socket import is_peer_of, reachable

_NONSENSE: Final = (OSError, ValueError, RecursionError)
"""What reading raises when the holder ends, or is none of ours, or did not answer the call before."""


class Asking:
    """A connection to the holder on which one call is made at a time."""

    def __init__(self, user: str, connection: socket.socket) -> None:
        self._user = user
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._calls = 0

    def close(self) -> None:
        self._reader.close()

    def greeted(self) -> None:
        """Return once the holder has said that it is there.

        :raises TimeoutError: it has not, in the time that the connection has
        """
        said = self._line()
        if said.get("method") != READY:
            raise self._over(said)

    def ask(self, method: str, params: dict[str, Any], *, seconds: float | None = None) -> Any:  # noqa: ANN401 - JSON
        """Make one call; return its result as JSON has it, a long list whole.

        :param seconds: that the holder may say nothing; after that the line is of no use
        :raises HolderRefused: it said no; the error has the exit code it gave
        :raises HolderLeft: it ended; whether it was done is not known
        :raises TimeoutError: it has not answered in time, or says itself that something did not come about
        """
        self._calls += 1
        call = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        self._connection.settimeout(seconds)
        try:
            self._connection.sendall(json.dumps(call).encode() + b"\n")
        except ConnectionError:
            raise HolderLeft(self._user) from None
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        parts: list[Any] = []
        while (said := self._line()).get("id") != self._calls:
            params = said.get("params")
            if said.get("method") == "part" and isinstance(params, dict) and params.get("id") == self._calls:
                parts += self._list(params.get("items"))
            elif "method" not in said:
                raise self._over(said)
        error = said.get("error")
        if error is None:
            return parts + self._list(said.get("result")) if parts else said.get("result")
        refusal = refused(error)
        raise TimeoutError(str(refusal)) if refusal.kind == "TimeoutError" else refusal

    def _line(self) -> dict[str, Any]:
        try:
            line = self._reader.readline(MAX_LINE + 1)
            said = json.loads(line) if line.endswith(b"\n") else None
        except TimeoutError:
            raise
        except _NONSENSE:
            said = None
        if not isinstance(said, dict):
            raise HolderLeft(self._user)  # what cannot be read is no holder of ours: to us it has ended
        return said

    def _list(self, items: Any) -> list[Any]:  # noqa: ANN401 - JSON of whoever is there
        if not isinstance(items, list):
            raise HolderLeft(self._user)
        return items

    def _over(self, said: dict[str, Any]) -> Exception:
        """What is said of the whole connection, and no answer to a call: it ends here."""
        error = said.get("error")
        return HolderLeft(self._user) if error is None else refused(error)


@contextmanager
def asking(profile: ProfileFolder) -> Iterator[Asking]:
    """Connect to the process that holds the profile; raises as `forwarding.attached`."""
    path = place_of(profile)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_SECONDS)
        try:
            with reachable(path) as address:
                connection.connect(address)
        except BlockingIOError:
            raise too_busy() from None
        except OSError as problem:
            raise NoHolder(profile.user) from problem  # of a holder that was killed: nobody listens
        if not is_peer_of(connection, os.geteuid()):
            raise served_by_another(path)
        with contextlib.closing(Asking(profile.user, connection)) as line:
            try:
                line.greeted()
            except TimeoutError:
                raise silent() from None
            yield line
