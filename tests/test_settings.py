import ssl

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.settings import Endpoint, Limits, Settings, Timeouts, is_loopback


def test_the_default_is_gmail():
    settings = Settings()
    assert [str(endpoint) for endpoint in (settings.imap, settings.smtp, settings.pop3)] == [
        "imap.gmail.com:993",
        "smtp.gmail.com:465",
        "pop.gmail.com:995",
    ]
    assert all(endpoint.security == "tls" for endpoint in (settings.imap, settings.smtp, settings.pop3))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("imap.gmail.com", False),
    ],
)
def test_loopback_is_this_machine_alone(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("port", [0, -1, 65536, "993", True, 993.0])
def test_a_port_out_of_range_is_named(port):
    with pytest.raises(ConfigurationError, match=r"Endpoint\.port"):
        Endpoint("localhost", port)


@pytest.mark.parametrize(
    "host", ["imap..gmail.com", ".gmail.com", "x" * 64 + ".com", "\udc80.com", "[::1]", "a:b", "", "a b", "a\r\nb", None, "\x7f"]
)
def test_a_host_that_is_none_is_named(host):
    with pytest.raises(ConfigurationError, match=r"Endpoint\.host"):
        Endpoint(host, 993)


def test_plain_text_goes_to_this_machine_only():
    assert Endpoint("127.0.0.1", 143, "plaintext").security == "plaintext"
    with pytest.raises(ConfigurationError, match="plain text would show the token"):
        Endpoint("mail.example.com", 143, "plaintext")
    with pytest.raises(ConfigurationError, match=r"Endpoint\.security"):
        Endpoint("mail.example.com", 143, "none")


def test_a_context_must_verify():
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    with pytest.raises(ConfigurationError, match="must verify"):
        Endpoint("localhost", 993, ssl_context=careless)
    careless.verify_mode = ssl.CERT_NONE
    with pytest.raises(ConfigurationError, match="must verify"):
        Endpoint("localhost", 993, ssl_context=careless)


def test_the_machines_own_trust_is_read_once_and_asks_for_tls_1_2():
    context = Endpoint("a.example", 993).context()
    assert context is Endpoint("b.example", 995).context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    own = ssl.create_default_context()
    assert Endpoint("a.example", 993, ssl_context=own).context() is own


@pytest.mark.parametrize("value", [0, -1, "1", True, float("nan")])
def test_deadlines_and_limits_are_above_zero(value):
    with pytest.raises(ConfigurationError, match=r"Timeouts\.connect"):
        Timeouts(connect=value)
    with pytest.raises(ConfigurationError, match=r"Limits\.literal"):
        Limits(literal=value)


def test_limits_are_whole_numbers():
    with pytest.raises(ConfigurationError, match=r"Limits\.line: expected a whole number"):
        Limits(line=1.5)


def test_what_settings_refuse():
    with pytest.raises(ConfigurationError, match=r"Settings\.mechanism"):
        Settings(mechanism="PLAIN")
    with pytest.raises(ConfigurationError, match=r"Settings\.imap: STARTTLS"):
        Settings(imap=Endpoint("imap.example.com", 143, "starttls"))
    with pytest.raises(ConfigurationError, match=r"Settings\.pop3: STARTTLS"):
        Settings(pop3=Endpoint("pop.example.com", 110, "starttls"))
