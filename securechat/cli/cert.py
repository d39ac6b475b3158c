"""`securechat cert`: make a certificate, show by which fingerprint a server is known."""

from pathlib import Path

import click

from securechat.server.certificate import make_certificate
from securechat.server.config import default_data_folder
from securechat.server.identity import read_fingerprint


@click.group()
def cert() -> None:
    """Make a certificate, or show a server's fingerprint."""


@cert.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--name", "names", multiple=True, help="Host name or address in it (default localhost; repeatable)."
)
def make(file: Path, names: tuple[str, ...]) -> None:
    """Make a self-signed P-256 certificate with its key in FILE (0600). An existing file is left alone."""
    make_certificate(file, names or ("localhost", "127.0.0.1", "::1"))
    click.echo(f"made {file}", err=True)


@cert.command()
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of the server's database."
)
def fingerprint(data: Path | None) -> None:
    """Print the fingerprint of the identity key of the server whose data is in a folder."""
    click.echo(read_fingerprint(data or default_data_folder()))
