"""`securechat admin`: look after a server that runs on this machine, through its Unix socket.

Whoever may open the data folder may do this, and nobody else. The server is found as it was started:
by ``--data`` or ``--config``, else in the default folder. With ``--json`` the answer is one object as the
server gave it.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from securechat.cli.status_page import page
from securechat.server.admin_call import AdminLine, opened
from securechat.server.config import resolve_config
from securechat.server.status import Status
from securechat.sizes import size_text
from securechat.text import sanitise

Function = TypeVar("Function", bound=Callable[..., Any])

EXIT_WRONG: Final = 1
"""Of `status`: something is wrong."""

# click hands a command its options by keyword; what else a command takes passes through untouched.
# ruff: noqa: ANN401


def _of_a_server(function: Function) -> Function:
    """Give a command the options by which a server is found, as ``path``, and ``as_json``."""

    @functools.wraps(function)
    def command(*args: Any, data: Path | None, config: Path | None, **rest: Any) -> Any:
        return function(*args, path=resolve_config({"data": data}, config).admin_socket_file, **rest)

    wrapped: Any = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators are untyped here


_OPTIONS: Final = (
    click.option(
        "--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of the server's database."
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The TOML file that the server was started with.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object, as the server gave it."),
)


@click.group()
def admin() -> None:
    """Look after a server on this machine. It can read no content, add no device, set no password."""


@admin.command()
@_of_a_server
def status(path: Path, as_json: bool) -> int:
    """Say whether the server is well; ends with 0, or with 1 if something is wrong, 69 if none runs."""
    with opened(path) as line:
        found = line.call("status", {})
    if as_json:
        _print_json(found)
    else:
        click.echo(page(msgspec.convert(found, Status)))
    return EXIT_WRONG if found["problems"] else 0


@admin.command()
@_of_a_server
def users(path: Path, as_json: bool) -> None:
    """List the accounts."""
    with opened(path) as line:
        found = list(_all_users(line))
    if as_json:
        _print_json({"users": found})
        return
    rows = [
        (
            f"@{user['user']}",
            "disabled" if user["disabled"] else "",
            str(user["devices"]),
            day(user["created"]),
            day(user["seen"]) if user["seen"] else "never",
            size_text(user["stored"]),
            size_text(user["quota"]) if user["quota"] else "default",
            str(user["failed_logins"]),
            size_text(user["file_bytes"]),
        )
        for user in found
    ]
    print_table(
        ("user", "", "devices", "made", "last seen", "stored", "quota", "failed logins", "files"), rows
    )


@admin.command()
@click.argument("user")
@_of_a_server
def disable(user: str, path: Path, as_json: bool) -> None:
    """Take no login of USER any more, and end the sessions there are."""
    found = _ask(path, "disable", user=user)
    _tell(found, as_json, f"@{_name(user)} is disabled; {found['ended']} sessions were ended")


@admin.command()
@click.argument("user")
@_of_a_server
def enable(user: str, path: Path, as_json: bool) -> None:
    """Undo `disable`; and let USER's password open again where too many wrong ones were tried."""
    _tell(_ask(path, "enable", user=user), as_json, f"@{_name(user)} may log in")


@admin.command()
@click.argument("user")
@click.argument("amount", metavar="BYTES|default")
@_of_a_server
def quota(user: str, amount: str, path: Path, as_json: bool) -> None:
    """Set how many bytes of USER's messages may wait here for others to fetch them."""
    if amount != "default" and not (amount.isascii() and amount.isdigit()):
        raise click.UsageError("give a number of bytes, or the word default")
    count = None if amount == "default" else int(amount)
    found = _ask(path, "quota", user=user, bytes=count)
    _tell(found, as_json, f"@{_name(user)}: {'the default' if count is None else size_text(count)}")


@admin.command("drop-files")
@click.argument("user")
@_of_a_server
def drop_files(user: str, path: Path, as_json: bool) -> None:
    """Let go now of all files that USER has sent, fetched or not; nobody can fetch them any more."""
    found = _ask(path, "drop_files", user=user)
    _tell(found, as_json, f"let go of {found['files']} files of @{_name(user)}")


@admin.group(invoke_without_command=True)
@click.option(
    "--uses", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Accounts it makes."
)
@click.option(
    "--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it is good."
)
@click.option("--note", default="", help="For yourself: whom it is for.")
@_of_a_server
@click.pass_context
def invite(context: click.Context, path: Path, as_json: bool, uses: int, days: int, note: str) -> None:
    """Make a token that lets somebody register here; it is shown this once."""
    if context.invoked_subcommand is not None:
        return
    found = _ask(path, "invite", uses=uses, days=days, note=note)
    if as_json:
        _print_json(found)
        return
    click.echo(found["token"])
    click.echo(f"invite {found['number']}, good until {day(found['not_after'])}; for example:", err=True)
    click.echo("    securechat register NAME --server HOST:PORT --invite TOKEN", err=True)


@invite.command("list")
@_of_a_server
def list_invites(path: Path, as_json: bool) -> None:
    """List the invites, the newest first; never their tokens: the server does not have them."""
    found, now = _ask(path, "invites"), time.time()
    if as_json:
        _print_json(found)
        return
    rows = [
        (
            str(one["number"]),
            f"{one['used']} of {one['uses']}",
            day(one["created"]),
            day(one["not_after"]) + (" (expired)" if one["not_after"] < now else ""),
            sanitise(one["note"]),
        )
        for one in found["invites"]
    ]
    print_table(("invite", "used", "made", "good until", "note"), rows)


@invite.command("revoke")
@click.argument("number", type=click.IntRange(1))
@_of_a_server
def revoke_invite(number: int, path: Path, as_json: bool) -> int:
    """Make invite NUMBER worth nothing."""
    found = _ask(path, "revoke_invite", number=number)
    _tell(found, as_json, f"invite {number} {'is revoked' if found['changed'] else 'does not exist'}")
    return 0 if found["changed"] else EXIT_WRONG


@admin.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_of_a_server
def backup(file: Path, path: Path, as_json: bool) -> None:
    """Copy the database, while the server runs, to FILE, which the server makes."""
    found = _ask(path, "backup", file=str(file.absolute()))
    said = (
        f"{sanitise(found['file'])}: {size_text(found['bytes'])}, {found['users']} accounts, "
        f"{found['groups']} groups, in {found['seconds']} s"
    )
    _tell(found, as_json, said)


@admin.command()
@_of_a_server
def gc(path: Path, as_json: bool) -> None:
    """Let go now of what has had its time; the server does it by itself every few minutes."""
    found = _ask(path, "gc")
    gone = [f"{count} {name.replace('_', ' ')}" for name, count in found.items() if count]
    _tell(found, as_json, f"let go of {', '.join(gone) or 'nothing: there is nothing to let go of'}")


def _ask(path: Path, method: str, **params: Any) -> dict[str, Any]:
    """Make one call."""
    with opened(path) as line:
        found: dict[str, Any] = line.call(method, params)
    return found


def _tell(found: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        _print_json(found)
    else:
        click.echo(sentence, err=True)


def _all_users(line: AdminLine) -> Iterator[dict[str, Any]]:
    after, more = "", True
    while more:
        found = line.call("users", {"after": after})
        yield from found["users"]
        after, more = found["users"][-1]["user"] if found["users"] else "", found["more"]


def _print_json(found: Any) -> None:
    """ASCII, so that no text of anybody's can move a cursor (G-02)."""
    click.echo(json.dumps(found).replace("\x7f", "\\u007f"))


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def day(seconds: int) -> str:
    """A date, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _name(user: str) -> str:
    return sanitise(user.removeprefix("@"))
