"""`securechat server`: start the server, say where it listens and by what it is known."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--cert",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate and key in one PEM file; made, self-signed, if it does not exist.",
)
@click.option("--host", help="Address to listen on (default localhost).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (default 7443).")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of the database.")
@click.option("--domain", help="Name of this server for ever (default: made from its identity key).")
@click.option(
    "--registration",
    type=click.Choice(["open", "closed"]),
    help="Who may make an account (default: open on loopback, closed elsewhere).",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML file with these options; the command line wins.",
)
@click.option("--verbose", "-v", is_flag=True, help="Log more (never content or secrets).")
def server(verbose: bool, config: Path | None, **options: object) -> int:
    """Start the server. The first start makes what is missing: certificate, identity, database."""
    from securechat.cli.serving import serve

    return serve(config=config, options=options, verbose=verbose)
