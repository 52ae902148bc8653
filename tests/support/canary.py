"""Does a secret of the tests ever reach a log? (Invariant I6: in any logger, at DEBUG, in any of its usual disguises.)

Fixtures register their secrets in :data:`CANARIES`; a handler on the root logger looks for them in every record of the
whole session. A test in which one shows fails, with the offending logger's name, and so does a session.
"""

from __future__ import annotations

import base64
import logging
import secrets
import urllib.parse

SERVERS = ("mail.log",)  # aiosmtpd's logger: it is the server of a test and may say what it received


def forms(secret: str) -> set[str]:
    """``secret`` as a log could show it: plain, URL-encoded, hex, and base64 at each of the three byte offsets."""
    data = secret.encode()
    found = {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), data.hex()}
    for offset in range(3):
        # Only whole groups whose bits are all the secret's own: what surrounds it changes the others.
        whole = base64.b64encode(b"\0" * offset + data)[4 * (offset > 0) : (len(data) + offset) // 3 * 4].decode()
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


class Canaries:
    """Secrets to look for, under names that may be shown."""

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}
        self.run = f"canary{secrets.token_hex(6)}"
        self.add("a secret made by the fixtures", self.run)

    def add(self, name: str, secret: str) -> None:
        """Look for ``secret`` from now on; at least 12 characters, so that no accident is taken for it."""
        if len(secret) < 12:
            raise ValueError("a canary of fewer than 12 characters would sing by chance")
        for form in forms(secret):
            self._forms[form] = name

    def secret(self, kind: str) -> str:
        """A new secret value that is covered already: it carries the run's own canary."""
        return f"{kind}-{self.run}-{secrets.token_hex(8)}"

    def found_in(self, text: str) -> set[str]:
        """The names of the secrets that ``text`` shows."""
        return {name for form, name in self._forms.items() if form in text}


class Watch(logging.Handler):
    """Collects which logger showed what; the secrets themselves are not kept."""

    def __init__(self, canaries: Canaries) -> None:
        super().__init__(logging.NOTSET)
        self.canaries = canaries
        self.seen: list[str] = []
        self._formatter = logging.Formatter("%(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in SERVERS:
            return
        cached = record.exc_text
        text = self._formatter.format(record)
        record.exc_text = cached  # the format of other handlers is theirs to choose
        for name in self.canaries.found_in(text):
            self.seen.append(f"logger {record.name!r} ({record.filename}:{record.lineno}) showed {name}")

    def take(self) -> list[str]:
        """What was seen since the last call."""
        seen, self.seen = self.seen, []
        return seen


CANARIES = Canaries()
