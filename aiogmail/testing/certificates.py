"""Whom do clients of the emulator trust? A certificate authority made once per process, and never written to disk."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

__all__ = ["ca_pem", "client_context", "server_context"]


@cache
def _authority() -> Any:
    import trustme

    return trustme.CA()


@cache
def server_context(*names: str) -> ssl.SSLContext:
    """A server's context with a certificate for these names and addresses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _authority().issue_cert(*names).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """A verifying client's context that trusts the authority, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _authority().configure_trust(context)
    return context


def ca_pem() -> str:
    """The authority's certificate, for clients that want a file."""
    return str(_authority().cert_pem.bytes().decode("ascii"))
