"""A pytest plugin, in a process of its own: aioimaplib's own tests, run on our client instead of its own.

The tests are those of the last release whose distribution carries them (see upstream.py); the library that they import is the installed
one, with its clients replaced by ours. What they want of pytest-asyncio, pytz, mock and pyOpenSSL is a few lines each, and is here.

``AIOGMAIL_BRIDGE=client``: our ``Imap4`` and ``Imap4Ssl`` stand in for its ``IMAP4`` and ``IMAP4_SSL``.
``AIOGMAIL_BRIDGE=protocol``: its own clients, with our protocol in place of its ``IMAP4ClientProtocol``.
``AIOGMAIL_BRIDGE=``: aioimaplib itself, to see that the bridge bears.
"""

import asyncio
import datetime as dt
import inspect
import os
import sys
import tempfile
import types
import unittest.mock

import pytest
import trustme

# -- what the tests import ---------------------------------------------------------------------------------------------


def _module(name, **contents):
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module


def create_temp_self_signed_cert():
    ca, folder = trustme.CA(), tempfile.mkdtemp(prefix="cert-", dir=os.environ["AIOGMAIL_BRIDGE_TMP"])
    certificate = ca.issue_cert("127.0.0.1", "localhost")
    paths = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    with open(paths[0], "wb") as file:
        file.write(b"".join(blob.bytes() for blob in certificate.cert_chain_pems) + ca.cert_pem.bytes())
    certificate.private_key_pem.write_to_path(paths[1])
    return paths


_module("pytz", utc=dt.UTC)
_module("mock", **vars(unittest.mock))
_module("aioimaplib.tests.ssl_cert", create_temp_self_signed_cert=create_temp_self_signed_cert)

asyncio.set_event_loop(asyncio.new_event_loop())  # imapserver.py wants one where it is imported

import aioimaplib  # noqa: E402

aioimaplib.__path__.append(os.path.join(os.environ["AIOGMAIL_BRIDGE_TESTS"], "aioimaplib"))


def _swap():
    from aiogmail.imap.compat import Imap4, Imap4Ssl
    from aiogmail.imap.protocol import ImapProtocol

    library = sys.modules["aioimaplib.aioimaplib"]
    ours = {"IMAP4": Imap4, "IMAP4_SSL": Imap4Ssl} if os.environ["AIOGMAIL_BRIDGE"] == "client" else {}
    for module in (aioimaplib, library):
        for name, kind in {**ours, "IMAP4ClientProtocol": ImapProtocol}.items():
            setattr(module, name, kind)


if os.environ["AIOGMAIL_BRIDGE"]:
    _swap()


# -- what they want of pytest-asyncio ----------------------------------------------------------------------------------


@pytest.fixture
def event_loop():
    before = asyncio.get_event_loop_policy().get_event_loop()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        # Again and again: from Python 3.12 on a server that was cancelled waits for clients that the tests left.
        loop.run_until_complete(asyncio.wait(tasks, timeout=0.02))
    loop.run_until_complete(asyncio.sleep(0))
    asyncio.set_event_loop(before)
    loop.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("event_loop")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    loop = pyfuncitem.funcargs["event_loop"]
    loop.run_until_complete(asyncio.wait_for(pyfuncitem.obj(**arguments), 20))
    return True


# -- what became of each -----------------------------------------------------------------------------------------------


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        said = "" if report.passed else str(report.longrepr).strip().splitlines()[-1].replace("\t", " ")
        with open(os.environ["AIOGMAIL_BRIDGE_REPORT"], "a") as file:
            file.write(f"{report.nodeid.rpartition('/')[2]}\t{report.outcome}\t{said}\n")
