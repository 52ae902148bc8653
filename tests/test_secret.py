import copy
import logging
import pickle

import pytest

from aiogmail.secret import Secret

VALUE = "ya29.not-to-be-seen"


def test_no_way_of_showing_a_secret_shows_it():
    secret = Secret(VALUE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:^30}", repr([secret])]
    record = logging.LogRecord("x", logging.DEBUG, "", 0, "%s %r", (secret, secret), None)
    assert not any(VALUE in text for text in [*shown, record.getMessage()])
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_pickled_or_copied(leave):
    with pytest.raises(TypeError, match="not pickled"):
        leave(Secret(VALUE))


def test_secrets_compare_by_value_and_only_with_secrets():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("\ud800")}) == 2
    assert Secret("a")
    assert not Secret("")


def test_only_text_can_be_a_secret():
    with pytest.raises(TypeError, match="expected str, got bytes"):
        Secret(b"bytes")
