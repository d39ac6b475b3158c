"""S-01: few dependencies, all pinned by hash. The gate also installs by the lock, and with a byte altered.

S-02: the gate builds the wheel twice, in two places, and compares.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK: Final = (ROOT / "requirements.lock").read_text()
PINNED: Final = {
    block.split("==")[0]: block
    for block in re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)
    if "==" in block
}

MAX_DIRECT: Final = 10
MAX_IN_ALL: Final = 25


def test_s_01_there_are_few_dependencies() -> None:
    assert 0 < len(PROJECT["dependencies"]) <= MAX_DIRECT
    assert len(PROJECT["dependencies"]) < len(PINNED) <= MAX_IN_ALL


def test_s_01_every_dependency_is_pinned_and_hashed() -> None:
    direct = {re.split(r"[<>=]", name)[0].replace("_", "-").lower() for name in PROJECT["dependencies"]}
    assert direct <= PINNED.keys()
    assert [name for name, lines in PINNED.items() if "--hash=sha256:" not in lines] == []


def test_s_01_no_registry_is_named() -> None:
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links", LOCK) == []


def test_s_02_the_gate_builds_twice_and_compares() -> None:
    """What it compares is the gate's; this holds that it is asked, and that a difference ends it."""
    gate = (ROOT / ".ci" / "run").read_text()
    part = gate.split("works_from_a_wheel() {")[1].split("\n}")[0]
    assert gate.startswith("#!/usr/bin/env bash")
    assert "set -euo pipefail" in gate
    assert part.count("pip wheel") == 2
    assert re.search(r"^ +cmp \S+/securechat-\*\.whl \S+/again/securechat-\*\.whl$", part, re.MULTILINE)
    assert re.search(r"^part .* works_from_a_wheel$", gate, re.MULTILINE)
