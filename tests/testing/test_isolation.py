"""The emulator shares no code with the clients: it would agree with their mistakes."""

import ast
from pathlib import Path

import pytest

import aiogmail.testing

FOLDER = Path(aiogmail.testing.__file__).parent
ALLOWED = {"aiogmail.settings", "aiogmail.errors", "aiogmail.oauth.credentials"}


def imported(path):
    """What of aiogmail outside its own package a file imports, anywhere in it."""
    package = ("aiogmail.testing", *path.relative_to(FOLDER).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [".".join([*".".join(package).split(".")[: len(".".join(package).split(".")) - node.level + 1], node.module or ""])]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "aiogmail" and not name.startswith("aiogmail.testing"))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_only_settings_errors_and_credentials_are_shared(path):
    allowed = ALLOWED | {"aiogmail"} if path.name == "plugin.py" else ALLOWED
    assert set(imported(path)) <= allowed


def test_the_check_sees_what_is_imported():
    assert set(imported(FOLDER / "emulator.py")) | set(imported(FOLDER / "consent.py")) == ALLOWED
