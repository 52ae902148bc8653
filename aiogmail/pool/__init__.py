"""How do many mailboxes of an account share a few connections? By turns, and each where its mailbox is selected already.

A mailbox's keeper is a lease on the pool. Its work runs on the connection that has the mailbox selected; else on a new one, as long as
there may be more; else on the one that was idle longest, which selects this mailbox then. Where all are at work the lease waits for its
turn, first come first served; a connection that only waits in IDLE gives way, and its watcher waits for its own turn again.
"""

from __future__ import annotations

from .lease import Lease
from .shares import Pool

__all__ = ["Lease", "Pool"]
