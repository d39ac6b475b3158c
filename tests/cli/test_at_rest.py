"""What a process that holds an account keeps from the rest of its machine."""

import sys
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells it")
def test_l_03_who_holds_an_account_leaves_no_core_and_its_memory_is_its_own(shell: Shell) -> None:
    shell.register("alice")
    with shell.holding("alice") as holder:
        process = Path(f"/proc/{holder.pid}")
        limits = process.joinpath("limits").read_text().splitlines()
        mask = next(line for line in process.joinpath("status").read_text().splitlines() if "Umask" in line)

    (core,) = [line for line in limits if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    assert mask.split() == ["Umask:", "0077"]
