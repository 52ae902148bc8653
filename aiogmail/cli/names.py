"""What may a file be called whose name a stranger chose?"""

from __future__ import annotations

import unicodedata

from pathvalidate import sanitize_filename

__all__ = ["safe_name"]

_SUFFIX = 20
_MOST = 200  # octets; the file systems in use take 255


def safe_name(name: str) -> str:
    """A name for one file in one folder, on any platform: no path in it, nothing hidden, nothing that reads otherwise than it is."""
    # Cf: among them the marks that turn "gpj.exe" round for the eye.
    clean = "".join(char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    stem, dot, suffix = clean.strip(" .").rpartition(".")
    end = f"{dot}{suffix}" if stem and len(suffix.encode()) <= _SUFFIX else ""
    stem = clean.strip(" .").removesuffix(end) if end else clean.strip(" .")
    cut = stem.encode()[: _MOST - len(end.encode())].decode("utf-8", "ignore") + end
    return str(sanitize_filename(cut, replacement_text="_", platform="universal")).strip(" .") or "_"
