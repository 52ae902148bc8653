"""``aiogmail`` on the command line (extra ``cli``)."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra, say how to install it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the shell: <&- or >&-
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  until the end
    try:
        from .app import app
    except ModuleNotFoundError as error:
        sys.exit(f"aiogmail: the command line needs {error.name}: pip install 'aiogmail[cli]'")
    except KeyboardInterrupt:  # on a slow machine the imports take a second or two
        sys.exit(130)
    try:
        app()
    except OSError as error:  # what a command writes is told of by itself; this is a help or a version on a disk that is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered would fail once more when Python ends
        sys.exit(f"aiogmail: output: cannot be written: {error.strerror or error}")
