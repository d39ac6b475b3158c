"""A command that only goes through the holder imports nothing of what the holder does: it is over at once."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from securechat.client.config import Home
from securechat.client.local_socket import serving
from tests.client.holder import ListHolder, a_message

SCRIPT = """
import os
import sys
from securechat.cli.main import run
code = run(sys.argv[1:])
heavy = {"apsw", "argon2", "cbor2", "cryptography", "prompt_toolkit", "segno", "textual"}
heavy |= {"typing_extensions", "uvloop"}
heavy |= {"securechat.client.client", "securechat.membership", "securechat.mls", "securechat.protocol"}
heavy |= set(os.environ["ALSO_HEAVY"].split())
found = sorted(heavy & set(sys.modules))
sys.exit(", ".join(found) or code)
"""


@pytest.mark.parametrize(
    ("arguments", "printed", "also_heavy"),
    [
        (["send", "alice", "@bob", "héllo"], b"", "asyncio ssl msgspec securechat.client.events"),
        (["rooms", "alice"], b"", "asyncio ssl"),
        (["status", "alice"], b"user: alice", "asyncio ssl"),
        (["receive", "alice"], b"hello", "asyncio ssl"),
        (["listen", "alice", "--count", "1"], b"* connected to", ""),
        (["why", "alice"], b"nothing", "asyncio ssl"),
        (["do", "alice", "@bob", "/status"], b"user: alice", "asyncio ssl"),
        (["file", "alice", "@bob", os.devnull], b"", "asyncio ssl msgspec securechat.client.events"),
        (["download", "alice", "12"], b"/saved/12", "asyncio ssl msgspec securechat.client.events"),
    ],
)
async def test_what_goes_through_the_holder_is_light(
    tmp_path: Path, arguments: list[str], printed: bytes, also_heavy: str
) -> None:
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    holder = ListHolder()
    holder.arrive(a_message(1))
    async with serving(profile, holder):
        command = [sys.executable, "-c", SCRIPT, *arguments, "--home", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"ALSO_HEAVY": also_heavy},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

    assert process.returncode == 0, err
    assert printed in out + err
