"""One run of one client, in a process of its own: ``python -m benchmarks.child CLIENT CASE COUNT PORT [CA]`` prints one line of JSON."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import sys

from .measure import Meter

__all__: list[str] = []

MODULES = {
    "raw": "raw",
    "aiogmail": "ours",
    "imaplib": "standard",
    "IMAPClient": "imapclient_",
    "imap-tools": "imaptools",
    "aioimaplib": "aioimaplib_",
}


def main(client: str, case: str, count: int, port: int, ca: str = "") -> None:
    module = importlib.import_module(f".clients.{MODULES[client]}", __package__)
    meter = Meter()
    sums = module.run(case, port, count, ca, meter)
    print(
        json.dumps(
            {
                "seconds": meter.seconds,
                "cpu_seconds": meter.cpu_seconds,
                "peak_rss_mib": meter.peak_mib(),
                "stall_ms": meter.stall_ms,
                "sums": sums,
                "note": module.NOTES.get(case, ""),
                "version": _version(client),
            }
        )
    )


def _version(client: str) -> str:
    if client in ("raw", "imaplib"):
        return platform.python_version()
    try:
        return importlib.metadata.version(client)
    except importlib.metadata.PackageNotFoundError:
        return "source"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
