"""Which commands are there?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from aiogmail import __version__
from aiogmail.errors import GmailError
from aiogmail.testing.serve import main as serve

from . import accounts as _accounts
from . import doctor as _doctor
from . import export as _export
from . import reading, watching
from . import sending as _sending
from .demo import run_demo
from .desk import EXIT_CODES, Desk, Stage, let_go_of_the_output, log_to_stderr, run

__all__ = ["app"]


def _path(text: str) -> Path:
    """A path that was named: an empty one, such as a variable that is not set, would be the folder that the shell is in."""
    if not text:
        raise typer.BadParameter("expected a path, got none")
    return Path(text)


def _epilog() -> str:
    words: dict[int, str] = {0: "it is done", 1: "something else went wrong"}
    words.update({code: text for _, code, text in EXIT_CODES})
    return "Exit codes: " + "; ".join(f"{code} {text}" for code, text in sorted(words.items())) + "."


app = typer.Typer(
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="Gmail on the command line.", epilog=_epilog()
)

Label = Annotated[str | None, typer.Option("--label", "-l", help="A label, such as INBOX or Work/2026; by default all mail.")]
Json = Annotated[bool, typer.Option("--json", help="A line of JSON for each.")]
Query = Annotated[
    str,
    typer.Argument(
        help="As in Gmail's search box, such as 'from:ann has:attachment'; after -- if it begins with a minus: -- '-from:ann'.",
        show_default=False,
    ),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aiogmail {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    account: Annotated[str | None, typer.Option("--account", "-a", envvar="AIOGMAIL_ACCOUNT", help="Which account.")] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            parser=_path,
            metavar="<path>",
            envvar="AIOGMAIL_SETTINGS",
            help="Other servers than Gmail: a JSON file, as `aiogmail emulator --folder` writes it.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="The protocol as it passes, on standard error, without secrets.")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback does it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Gmail on the command line: sessions that expire are replaced, and what was begun goes on."""
    context.obj = Desk(account, settings)
    if verbose:
        log_to_stderr()


@app.command()
def login(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="The account's address.")],
    client_secrets: Annotated[
        Path | None,
        typer.Option(parser=_path, metavar="<path>", help="The OAuth client, as Google's console offers it for download; remembered."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the consent page here; without, paste its address back.")] = True,
    keyring: Annotated[bool, typer.Option(help="Keep consent and tokens in this machine's keyring instead of files.")] = False,
) -> None:
    """Let an account in: consent in the browser, tried at once, then remembered."""
    desk: Desk = context.obj
    run(desk, lambda: _accounts.let_in(desk, address, client_secrets=client_secrets, browser=browser, keyring=keyring))


@app.command()
def accounts(
    context: typer.Context,
    default: Annotated[str | None, typer.Option(help="Make this the account that is meant when none is named.")] = None,
    forget: Annotated[str | None, typer.Option(help="Give this account's consent back and forget it.")] = None,
    as_json: Json = False,
) -> None:
    """List the accounts, choose the default one, forget one."""
    desk: Desk = context.obj

    async def work() -> None:
        if default is not None:
            desk.accounts.make_default(default)
        if forget is not None:
            await _accounts.forget(desk, desk.accounts.choose(forget))
        if forget is None:
            _accounts.list_accounts(desk, as_json=as_json)

    run(desk, work)


@app.command()
def labels(context: typer.Context, as_json: Json = False) -> None:
    """List the labels with their counts."""
    desk: Desk = context.obj
    run(desk, lambda: reading.list_labels(desk, as_json=as_json))


@app.command()
def search(
    context: typer.Context,
    query: Query = "",
    label: Label = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The newest so many; 0: all.")] = 25,
    as_json: Json = False,
) -> None:
    """Find messages."""
    desk: Desk = context.obj
    run(desk, lambda: reading.search(desk, query, mailbox=label, limit=limit, as_json=as_json))


@app.command()
def show(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="The id of a message, as `search` prints it.")],
    label: Label = None,
    headers: Annotated[bool, typer.Option("--headers", help="All header fields, decoded.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The message as it is on the server.")] = False,
    html: Annotated[bool, typer.Option("--html", help="The HTML text instead of the plain one.")] = False,
    part: Annotated[str | None, typer.Option(help="One part, by its number, decoded.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(parser=_path, metavar="<path>", help="Save into this folder: the part, the raw message, or else all attachments."),
    ] = None,
) -> None:
    """Show a message: headers, text, attachments. Nothing marks it as read."""
    desk: Desk = context.obj

    async def work() -> None:
        await reading.show(desk, reading.message_id_of(message), mailbox=label, headers=headers, raw=raw, html=html, save=save, part=part)

    run(desk, work)


@app.command()
def export(
    context: typer.Context,
    to: Annotated[Path, typer.Option(parser=_path, metavar="<path>", help="The folder (maildir, eml) or the file (mbox).")],
    query: Query = "",
    label: Label = None,
    kind: Annotated[Literal["maildir", "mbox", "eml"], typer.Option("--format", "-f", help="The form of the archive.")] = "maildir",
) -> None:
    """Export a label, or what a query finds; the same command again goes on where the last one was cut."""
    desk: Desk = context.obj
    run(desk, lambda: _export.export(desk, query, mailbox=label, to=to, kind=kind))


@app.command()
def watch(
    context: typer.Context,
    label: Label = None,
    as_json: Json = False,
    command: Annotated[
        str | None, typer.Option("--exec", help="Run this for each event: JSON in its standard input, AIOGMAIL_ID and more set.")
    ] = None,
    cursor: Annotated[
        Path | None, typer.Option(parser=_path, metavar="<path>", help="A file that remembers the place: the next run goes on there.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
) -> None:
    """Tell what arrives, changes and goes, as it happens."""
    desk: Desk = context.obj
    run(desk, lambda: watching.watch(desk, mailbox=label, as_json=as_json, command=command, cursor_file=cursor, count=count))


@app.command()
def send(
    context: typer.Context,
    to: Annotated[list[str] | None, typer.Option(help="A recipient; may be repeated.")] = None,
    cc: Annotated[list[str] | None, typer.Option(help="Gets a copy.")] = None,
    bcc: Annotated[list[str] | None, typer.Option(help="Gets a copy that the others do not see.")] = None,
    subject: Annotated[str, typer.Option("--subject", "-s")] = "",
    text: Annotated[str | None, typer.Option("--text", "-t", help="The text; by default read from standard input.")] = None,
    attach: Annotated[list[Path] | None, typer.Option(parser=_path, metavar="<path>", help="A file to attach; may be repeated.")] = None,
    file: Annotated[
        Path | None, typer.Option(parser=_path, metavar="<path>", help="A whole message instead (RFC 5322); - is standard input.")
    ] = None,
    settle_timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to find out what became of it, should the server's reply be lost.")
    ] = 120.0,
    as_json: Json = False,
) -> None:
    """Send a message, and wait until it is known what became of it."""
    desk: Desk = context.obj
    letter = _sending.Letter(to or (), cc or (), bcc or (), subject, text, attach or (), file)
    run(desk, lambda: _sending.send(desk, letter.message(desk.account().address), settle_timeout=settle_timeout, as_json=as_json))


@app.command()
def doctor(
    context: typer.Context,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Also settle what is not documented, with a label and messages of its own, to yourself alone; cleans up."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check an account step by step, and say what to do."""
    desk: Desk = context.obj
    run(desk, lambda: _doctor.examine(desk, report=report, as_json=as_json))


@app.command()
def demo(
    messages: Annotated[int, typer.Option(min=10, max=100_000, help="Messages in the mailbox.")] = 2000,
) -> None:
    """Read a mailbox to its end while its sessions expire, against a Gmail inside this program."""
    console = Stage(highlight=False)
    try:
        story = asyncio.run(run_demo(console, messages=messages))
    except (GmailError, OSError) as error:
        let_go_of_the_output()
        Console(stderr=True, soft_wrap=True).print(f"aiogmail: {error}", style="red", markup=False)
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
