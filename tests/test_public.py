"""What `import aiogmail` offers is what it says it offers."""

import logging
import subprocess
import sys

import aiogmail


def test_everything_named_is_there_and_documented():
    for name in aiogmail.__all__:
        thing = getattr(aiogmail, name)
        if name != "__version__":
            assert thing.__doc__, f"{name} has no docstring"
    assert aiogmail.__all__ == sorted(aiogmail.__all__)


def test_a_star_import_brings_just_those_names():
    space = {}
    exec("from aiogmail import *", space)
    assert set(space) - {"__builtins__"} == set(aiogmail.__all__)


def test_nothing_is_printed_where_no_logging_was_set_up():
    code = "import aiogmail, logging; logging.getLogger('aiogmail.imap').warning('unseen')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == done.stderr == ""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("aiogmail").handlers)


def test_importing_needs_none_of_the_extras():
    blocked = "import sys; sys.modules.update(dict.fromkeys(['typer', 'rich', 'trustme', 'aiosmtpd', 'keyring', 'redis', 'pytest']))"
    subprocess.run([sys.executable, "-W", "error", "-c", f"{blocked}; import aiogmail; from aiogmail import *"], check=True, timeout=60)
