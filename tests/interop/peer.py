"""The process in which members of ts-mls live: a line of JSON for each question, one for each answer."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Final

from tests.interop.node import VERSIONS, find_node, install, package_version

ANSWER_SECONDS: Final = 60


class PeerRefused(Exception):
    """ts-mls did not do what it was asked for; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One process with ts-mls of one version."""

    major: str
    version: str
    process: "subprocess.Popen[str]"

    def ask(self, verb: str, **said: Any) -> Any:
        """Return the answer to one question; PeerRefused if it is an error, or takes too long."""
        watch = Timer(ANSWER_SECONDS, self.process.kill)
        watch.start()
        try:
            line = self._exchange(json.dumps({"verb": verb, **_in_hex(said)}))
        finally:
            watch.cancel()
        if not line:
            raise PeerRefused(f"the process ended while it was asked to {verb}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerRefused(f"{verb}: {answer['error']}")
        return answer["value"]

    def _exchange(self, question: str) -> str:
        questions, answers = self.process.stdin, self.process.stdout
        if questions is None or answers is None:
            raise PeerRefused("no pipes")
        questions.write(question + "\n")
        questions.flush()
        return answers.readline()


@contextmanager
def running_peer(major: str) -> Iterator[Peer]:
    """Install ts-mls of a major version into a folder that goes again, and run it."""
    script = VERSIONS[major]
    node = find_node()
    with tempfile.TemporaryDirectory(prefix="securechat-interop-") as folder:
        program = install(node, script, Path(folder))
        with subprocess.Popen(
            [node.executable, program.name],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Peer(major, package_version(script), process)
            finally:
                process.kill()


def _in_hex(said: dict[str, Any]) -> dict[str, Any]:
    return {name: _hex(value) for name, value in said.items()}


def _hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_hex(each) for each in value]
    return value
