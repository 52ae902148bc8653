"""``aiogmail`` on the command line (extra ``cli``)."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra, say how to install it."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        sys.exit(f"aiogmail: the command line needs {error.name}: pip install 'aiogmail[cli]'")
    except KeyboardInterrupt:  # on a slow machine the imports take a second or two
        sys.exit(130)
    app()
