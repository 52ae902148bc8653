"""Gmail's IMAP, as its recorded sessions show it."""

from .session import serve_imap

__all__ = ["serve_imap"]
