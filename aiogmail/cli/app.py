"""Which commands are there?"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from aiogmail import __version__
from aiogmail.errors import GmailError
from aiogmail.testing.serve import main as serve

from .demo import run_demo

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="Gmail over IMAP for asyncio.")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aiogmail {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Gmail over IMAP for asyncio, on connections that outlive their sessions."""


@app.command()
def demo(
    messages: Annotated[int, typer.Option(min=1, max=100_000, help="Messages in the mailbox.")] = 2000,
) -> None:
    """Read a mailbox to its end while its sessions expire, against a Gmail inside this program."""
    console = Console(highlight=False)
    try:
        story = asyncio.run(run_demo(console, messages=messages))
    except GmailError as error:
        Console(stderr=True).print(f"aiogmail: {error}", style="red", markup=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not story.is_good:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    help="Run a Gmail on this machine, with a sample mailbox, until Ctrl-C; it prints how to connect. `--help` lists its options.",
)
def emulator(context: typer.Context) -> None:
    """Hand everything on to the emulator's own command line."""
    raise typer.Exit(serve(context.args))
