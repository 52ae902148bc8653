"""How a secret travels: a value that no log, repr, format, pickle or traceback can show."""

from __future__ import annotations

import hmac
from typing import NoReturn, final

__all__ = ["Secret"]


@final
class Secret:
    """A string that must not be shown: a token, a password, a client secret.

    ``str()``, ``repr()``, ``format()`` and f-strings give ``Secret('…')``; pickling and copying through pickle are refused.
    :meth:`reveal` is the one way to the value, so that ``grep reveal`` finds every place that handles one.

    Raises:
        TypeError: the value is not a ``str``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"Secret: expected str, got {type(value).__name__}")
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it where the value is used, never to store it elsewhere."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass"))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: store what made it, through a TokenStore")
