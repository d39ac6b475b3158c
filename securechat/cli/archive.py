"""`securechat archive`: the history that the server keeps, sealed, for an account's other devices."""

import asyncio

import click
import msgspec

from securechat.cli.faces import face_of
from securechat.cli.json_lines import print_json
from securechat.cli.line_history import archive_lines
from securechat.cli.options import Account, account_options
from securechat.cli.speech import show
from securechat.client.archive_status import ArchiveStatus


@click.command()
@account_options
@click.argument("how", type=click.Choice(["status", "on", "off"]), default="status")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def archive(account: Account, how: str, as_json: bool) -> None:
    """Say how the archive of an account stands, or turn it on or off for all of its devices.

    It lies at the server, sealed under a key that only the account's devices and its recovery key have; a new
    device reads it. What is to disappear is never in it. `off` deletes all of it there.
    """
    found = asyncio.run(_archive(account, how))
    if as_json:
        print_json({"type": "archive"} | msgspec.structs.asdict(found))
        return
    for line in archive_lines(found):
        show(line)


async def _archive(account: Account, how: str) -> ArchiveStatus:
    async with face_of(account) as face:
        return await face.archive(on=None if how == "status" else how == "on")
