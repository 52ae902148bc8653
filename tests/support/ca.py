"""Whose certificates do the servers of a test run show? One authority's, made when first asked for and never written to disk
but where a server needs files.
"""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@functools.cache
def authority() -> trustme.CA:
    """The certificate authority of this process's run."""
    return trustme.CA(organization_name="aiogmail tests")


@functools.cache
def client_context() -> ssl.SSLContext:
    """A verifying context that trusts :func:`authority` and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


@functools.cache
def server_context(*names: str) -> ssl.SSLContext:
    """A server's context with a certificate for ``names`` (default: the loopback names and addresses)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or LOOPBACK)).configure_cert(context)
    return context


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: ``chain`` and ``key`` of a server for the loopback, ``ca`` to trust it."""

    chain: Path
    key: Path
    ca: Path


def write_files(folder: Path) -> CertificateFiles:
    """Write a loopback certificate's PEM files into ``folder``."""
    certificate = authority().issue_cert(*LOOPBACK)
    files = CertificateFiles(folder / "chain.pem", folder / "key.pem", folder / "ca.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(files.chain, append=number > 0)
    certificate.private_key_pem.write_to_path(files.key)
    authority().cert_pem.write_to_path(files.ca)
    return files
