"""How servers are reached: what is asked of TLS and of TCP, and what a failure is called."""

import errno
import socket
import ssl
import sys

import pytest

from aiogmail.settings import Endpoint, Timeouts
from aiogmail.tcp import connect_failed, keep_alive, tls_options

linux = pytest.mark.skipif(sys.platform != "linux", reason="only there these are known by one name")


class Refusing:
    """A socket of a system that lets nothing be set."""

    family = socket.AF_INET

    def setsockopt(self, *_):
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")


@pytest.mark.parametrize("security", ["plaintext", "starttls"])
def test_a_connection_that_begins_in_clear_is_told_nothing_of_tls(security):
    assert tls_options(Endpoint("127.0.0.1", 587, security)) == {}


def test_tls_is_for_the_endpoints_own_name():
    context = ssl.create_default_context()
    options = tls_options(Endpoint("imap.gmail.com", 993, "tls", ssl_context=context))
    assert options["ssl"] is context
    assert options["server_hostname"] == "imap.gmail.com"


def test_a_certificate_that_does_not_fit_is_not_tried_again():
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "Hostname mismatch"
    failure = connect_failed("imap.gmail.com:993", error)
    assert failure.permanent
    assert str(failure) == "imap.gmail.com:993: the certificate does not fit: Hostname mismatch"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "h:1: cannot connect: Connection refused"),
        (OSError("Multiple exceptions"), "h:1: cannot connect: Multiple exceptions"),
        (ssl.SSLError(1, "no reason known"), "h:1: TLS failed: "),
    ],
)
def test_other_failures_keep_their_words_and_may_be_tried_again(error, said):
    failure = connect_failed("h:1", error)
    assert str(failure).startswith(said)
    assert not failure.permanent


@linux
def test_a_tcp_connection_gets_the_probes_of_the_timeouts():
    with socket.socket() as sock:
        keep_alive(sock, Timeouts(keepalive_idle=61, keepalive_interval=7, keepalive_count=2, user_timeout=1.5))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT]
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [61, 7, 2, 1500]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets of that kind here")
def test_what_is_no_tcp_connection_is_left_alone():
    one, other = socket.socketpair()
    with one, other:
        keep_alive(one, Timeouts())
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    keep_alive(None, Timeouts())


def test_a_system_that_lets_nothing_be_set_costs_no_connection():
    keep_alive(Refusing(), Timeouts())
