"""docs/operations is what the code does: options, commands of unit and container (N-01, N-04)."""

import itertools
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from securechat.cli.main import COMMANDS, cli
from securechat.server.config import Rate, ServerConfig, resolve_config
from securechat.server.rate_limit import RULES
from securechat.server.security_log import EVENTS

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "operations"
TOML: Final = (FOLDER / "server.toml").read_text()
UNIT: Final = (FOLDER / "securechat.service").read_text()
AGENT: Final = (FOLDER / "securechat-agent@.service").read_text()
CONTAINER: Final = (FOLDER / "Containerfile").read_text()
DOCUMENT: Final = (FOLDER / "README.md").read_text()


def uncommented() -> dict[str, Any]:
    """The file with the options that are commented out taken in."""
    return tomllib.loads(re.sub(r"^#(\w+ = )", r"\1", TOML, flags=re.MULTILINE))


def test_the_file_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(TOML)
    found = resolve_config({}, file)
    assert msgspec.structs.replace(found, rates={}) == ServerConfig()


def test_every_option_stands_in_it_and_no_other() -> None:
    said = uncommented()
    assert set(said) == set(ServerConfig.__struct_fields__)
    for name in ("connections", "retention", "quotas"):
        assert set(said[name]) == set(getattr(ServerConfig(), name).__struct_fields__)
    assert set(resolve_config(uncommented()).rates) == {rule.name for rule in RULES}


def test_every_rate_is_that_of_the_table() -> None:
    said = {name: Rate(**rate) for name, rate in uncommented()["rates"].items()}
    for rule in RULES:
        assert said[rule.name].burst == pytest.approx(rule.burst)
        assert said[rule.name].per_second == pytest.approx(rule.per_second, rel=1e-4)


def test_every_option_is_explained() -> None:
    lines = TOML.splitlines()
    silent = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"#?\w+ = |\[", line) and not (before.startswith("#") or re.match(r"\w+ = |\[", before))
    ]
    assert silent == []


def test_every_security_event_is_listed_with_its_fields() -> None:
    table = DOCUMENT.split("| event | fields |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE)
    assert {event: tuple(re.findall(r"`(\w+)`", fields)) for event, fields in rows} == EVENTS


def commands_in(text: str) -> set[str]:
    """Every `securechat COMMAND` that a file tells somebody to type."""
    return set(
        re.findall(r"(?:bin/)?securechat[\"',]* [\"']?(server|agent|admin \w+|register|cert \w+)\b", text)
    )


@pytest.mark.parametrize("text", [UNIT, AGENT, CONTAINER, DOCUMENT, TOML])
def test_the_commands_exist(text: str) -> None:
    for command in commands_in(text.replace('", "', " ")):
        name, *rest = command.split()
        assert name in COMMANDS
        found: Any = cli.get_command(None, name)  # type: ignore[arg-type]
        for word in rest:
            assert word in found.commands, command


@pytest.mark.parametrize("text", [UNIT, CONTAINER])
def test_their_options_exist(text: str) -> None:
    """Options after `securechat server` and `securechat admin status`."""
    server, status = cli.get_command(None, "server"), cli.get_command(None, "admin")  # type: ignore[arg-type]
    assert server is not None
    known = {name for parameter in server.params for name in parameter.opts}
    known |= {name for parameter in status.commands["status"].params for name in parameter.opts}  # type: ignore[union-attr]
    lines = [line for line in text.splitlines() if re.match(r"Exec|ENTRYPOINT|CMD|    CMD", line)]
    used = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert used
    assert used <= known


def test_the_options_of_the_agents_unit_exist() -> None:
    agent = cli.get_command(None, "agent")  # type: ignore[arg-type]
    assert agent is not None
    (line,) = re.findall(r"^ExecStart=(.*)$", AGENT, re.MULTILINE)
    known = {name for parameter in agent.params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", line)) <= known
    assert "RestartPreventExitStatus=1 4" in AGENT


def test_the_container_copies_what_is_there_and_runs_as_nobody_special() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    stages = CONTAINER.split("\nFROM ")
    assert re.search(r"^USER \d+", stages[-1], re.MULTILINE)
    assert "--require-hashes" in CONTAINER
    assert "VOLUME /data" in stages[-1]
    assert "HEALTHCHECK" in stages[-1]
    assert not re.search(r"^ADD |:latest|curl|wget|apt-get", CONTAINER, re.MULTILINE)


def test_the_unit_is_hardened() -> None:
    for setting in (
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
        "CapabilityBoundingSet=",
        "LimitCORE=0",
        "Restart=on-failure",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ):
        assert re.search(rf"^{re.escape(setting)}$", UNIT, re.MULTILINE), setting
    limit = re.search(r"^LimitNOFILE=(\d+)$", UNIT, re.MULTILINE)
    assert limit is not None
    assert int(limit[1]) > ServerConfig().connections.total + 256


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize(("name", "text"), [("securechat", UNIT), ("securechat-agent@", AGENT)])
def test_systemd_takes_the_unit(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "securechat"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"{name}.service"
    unit.write_text(text.replace("/opt/securechat/bin", str(program.parent)))
    run = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in run.stderr.splitlines() if f"{name}.service" in line]
    assert (run.returncode, complaints) == (0, [])
