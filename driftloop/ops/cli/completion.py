"""``driftloop completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from driftloop.ops.cli.output import echo
from driftloop.ops.cli.types import examples

_VARIABLE = "_DRIFTLOOP_COMPLETE"


@click.command(
    epilog=examples(
        'eval "$(driftloop completion bash)"      # in ~/.bashrc',
        'eval "$(driftloop completion zsh)"       # in ~/.zshrc',
        "driftloop completion fish | source       # in ~/.config/fish/config.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in a shell."""
    script_class = get_completion_class(shell)
    if script_class is None:
        raise click.ClickException(f"click has no completion for {shell}")
    echo(script_class(context.find_root().command, {}, "driftloop", _VARIABLE).source())
