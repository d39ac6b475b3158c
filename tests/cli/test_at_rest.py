"""What a process that holds an account keeps from the rest of its machine."""

import os
import sys
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.cli.terminal import Terminal


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells it")
def test_l_03_who_holds_an_account_leaves_no_core_and_its_memory_is_its_own(shell: Shell) -> None:
    shell.register("alice")
    with shell.holding("alice") as holder:
        core, mask = core_and_mask(holder.pid)

    assert core[4:6] == ["0", "0"]
    assert mask == ["Umask:", "0077"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells it")
def test_l_03_neither_does_who_makes_one_from_before_its_password_is_typed(tmp_path: Path) -> None:
    terminal = Terminal(["register", "alice", "--home", "home"], dict(os.environ), tmp_path)
    try:
        terminal.wait(lambda lines: any("Password for alice" in line for line in lines))
        core, mask = core_and_mask(terminal.process.pid)
    finally:
        terminal.close()

    assert core[4:6] == ["0", "0"]
    assert mask == ["Umask:", "0077"]


def core_and_mask(pid: int) -> tuple[list[str], list[str]]:
    process = Path(f"/proc/{pid}")
    limits = process.joinpath("limits").read_text().splitlines()
    status = process.joinpath("status").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    (mask,) = [line.split() for line in status if line.startswith("Umask")]
    return core, mask
