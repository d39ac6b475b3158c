"""`securechat completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what SHELL reads at its start to complete securechat's commands.

    \b
    bash   securechat completion bash > ~/.local/share/bash-completion/completions/securechat
    zsh    securechat completion zsh > ~/.zfunc/_securechat    (with ~/.zfunc in fpath, before compinit)
    fish   securechat completion fish > ~/.config/fish/completions/securechat.fish
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    # Not `source()`: for bash that starts bash to ask its version; what it prints is the same.
    complete = made(context.find_root().command, {}, "securechat", "_SECURECHAT_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())
