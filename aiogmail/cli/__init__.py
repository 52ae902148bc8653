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
    app()
