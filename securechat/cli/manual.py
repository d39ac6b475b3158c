"""`securechat man`: manual pages, made of what the commands say of themselves."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from securechat.version import __version__

_REQUESTS: Final = re.compile(r"^(?=[.'])", re.MULTILINE)
_PARAGRAPHS: Final = re.compile(r"\n\s*\n")


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to write them to, for example ~/.local/share/man/man1.",
)
@click.pass_context
def man(context: click.Context, output: Path) -> None:
    """Write a manual page for securechat and for each of its commands: securechat.1, securechat-chat.1 ..."""
    output.mkdir(parents=True, exist_ok=True)
    root = context.find_root()
    for name, text in pages(click.Context(root.command, info_name="securechat")):
        (output / f"{name}.1").write_text(text, "utf-8")
        click.echo(f"{name}.1", err=True)


def pages(context: click.Context) -> Iterator[tuple[str, str]]:
    """The pages of a command and of those under it: name and text."""
    name = context.command_path.replace(" ", "-")
    yield name, _page(name, context)
    for inner in _inner(context):
        yield from pages(inner)


def _page(name: str, context: click.Context) -> str:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH "{_roff(name.upper())}" "1" "" "securechat {_roff(__version__)}" "securechat"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(command.get_short_help_str(limit=200))}",
        ".SH SYNOPSIS",
        f".B {_roff(context.command_path)}",
        _roff(usage),
        ".SH DESCRIPTION",
        *_description(command.help or ""),
    ]
    options = [record for each in command.params if (record := each.get_help_record(context)) is not None]
    if options:
        parts.append(".SH OPTIONS")
        for option, text in options:
            parts += [".TP", f"\\fB{_roff(option)}\\fR", _roff(text)]
    if below := _inner(context):
        parts.append(".SH COMMANDS")
        for inner in below:
            parts += [".TP", f"\\fB{_roff(str(inner.info_name))}\\fR", _roff(_short(inner))]
        parts += [
            ".SH SEE ALSO",
            ", ".join(f"\\fB{_roff(name)}\\-{_roff(str(i.info_name))}\\fR(1)" for i in below),
        ]
    return "\n".join(parts) + "\n"


def _inner(context: click.Context) -> list[click.Context]:
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return [click.Context(each, info_name=name, parent=context) for name, each in found if each is not None]


def _short(context: click.Context) -> str:
    return context.command.get_short_help_str(limit=200)


def _description(text: str) -> Iterator[str]:
    for paragraph in _PARAGRAPHS.split(text.strip()):
        as_it_stands = paragraph.startswith("\b")
        yield ".PP"
        if as_it_stands:
            yield from (".nf", *(_roff(line) for line in paragraph.lstrip("\b\n").splitlines()), ".fi")
        else:
            yield _roff(" ".join(paragraph.split()))


def _roff(text: str) -> str:
    """Text that roff shows as it is: no escape, no request at the beginning of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return _REQUESTS.sub(r"\\&", escaped)
