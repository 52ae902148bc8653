"""What may a file be called whose name a stranger chose?"""

from __future__ import annotations

import unicodedata

from pathvalidate import sanitize_filename

__all__ = ["safe_name"]

_MOST = 200  # octets; the file systems in use take 255


def safe_name(name: str) -> str:
    """A name for one file in one folder, on any platform: no path in it, nothing hidden, nothing that reads otherwise than it is."""
    # Cf: among them the marks that turn "gpj.exe" round for the eye.
    clean = "".join(char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    clean = str(sanitize_filename(clean.strip(" ."), replacement_text="_", platform="universal")).strip(" .") or "_"
    stem, dot, suffix = clean.rpartition(".")
    if not dot:
        stem, suffix = clean, ""
    kept = f"{dot}{suffix}" if len(suffix.encode()) <= 20 else ""
    stem = (stem if kept or not dot else clean).encode()[: _MOST - len(kept.encode())].decode("utf-8", "ignore")
    return f"{stem}{kept}"
