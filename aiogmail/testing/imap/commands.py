"""Which commands are there, and in which states?"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from . import append, entry, fetch, idle, listing, mailboxes, store
from .search import search
from .session import Handler, ImapSession
from .syntax import Args

__all__ = ["COMMANDS"]

_ANY = frozenset({"not authenticated", "authenticated", "selected"})
_BEFORE = frozenset({"not authenticated"})
_LOGGED_IN = frozenset({"authenticated", "selected"})
_SELECTED = frozenset({"selected"})


class _Numbered(Protocol):
    """A command that exists with message numbers and, after UID, with UIDs."""

    async def __call__(self, session: ImapSession, args: Args, uid: bool) -> None: ...


COMMANDS: dict[str, tuple[frozenset[str], Handler]] = {
    "CAPABILITY": (_ANY, entry.capability),
    "NOOP": (_ANY, entry.noop),
    "CHECK": (_SELECTED, entry.noop),
    "ID": (_ANY, entry.identify),
    "LOGOUT": (_ANY, entry.logout),
    "AUTHENTICATE": (_BEFORE, entry.authenticate),
    "LOGIN": (_BEFORE, entry.login),
    "ENABLE": (_LOGGED_IN, entry.enable),
    "NAMESPACE": (_LOGGED_IN, entry.namespace),
    "GETQUOTA": (_LOGGED_IN, entry.getquota),
    "GETQUOTAROOT": (_LOGGED_IN, entry.getquotaroot),
    "LIST": (_LOGGED_IN, listing.list_),
    "LSUB": (_LOGGED_IN, listing.lsub),
    "XLIST": (_LOGGED_IN, listing.xlist),
    "SELECT": (_LOGGED_IN, partial(mailboxes.select, readonly=False)),
    "EXAMINE": (_LOGGED_IN, partial(mailboxes.select, readonly=True)),
    "STATUS": (_LOGGED_IN, mailboxes.status),
    "CREATE": (_LOGGED_IN, mailboxes.create),
    "DELETE": (_LOGGED_IN, mailboxes.delete),
    "RENAME": (_LOGGED_IN, mailboxes.rename),
    "SUBSCRIBE": (_LOGGED_IN, partial(mailboxes.subscribe, wanted=True)),
    "UNSUBSCRIBE": (_LOGGED_IN, partial(mailboxes.subscribe, wanted=False)),
    "CLOSE": (_SELECTED, mailboxes.close),
    "UNSELECT": (_SELECTED, mailboxes.unselect),
    "APPEND": (_LOGGED_IN, append.append),
    "IDLE": (_LOGGED_IN, idle.idle),
    "EXPUNGE": (_SELECTED, store.expunge),
    "UID EXPUNGE": (_SELECTED, store.uid_expunge),
}
_NUMBERED: dict[str, _Numbered] = {"FETCH": fetch.fetch, "SEARCH": search, "STORE": store.store, "COPY": store.copy, "MOVE": store.move}
for _name, _handler in _NUMBERED.items():
    COMMANDS[_name] = _SELECTED, partial(_handler, uid=False)
    COMMANDS[f"UID {_name}"] = _SELECTED, partial(_handler, uid=True)
