"""The package's reference: every public name says what it is, and renders without a warning."""

import inspect
import subprocess
import sys

import pytest

import aiogmail

CLASSES = [name for name in aiogmail.__all__ if inspect.isclass(getattr(aiogmail, name))]


def is_documented(kind, name):
    """By itself, or by what it overrides."""
    return any(getattr(vars(one).get(name), "__doc__", None) for one in kind.__mro__)


def public(kind):
    """Methods and properties of a class, inherited ones too where the package wrote them."""
    for name in dir(kind):
        owner = next((one for one in kind.__mro__ if name in vars(one)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("aiogmail"):
            continue
        found = vars(owner)[name]
        found = getattr(found, "__func__", found)
        if inspect.isfunction(found) or isinstance(found, property):
            yield name


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_and_its_methods_have_docstrings(name):
    kind = getattr(aiogmail, name)
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{name}("), "the one that a dataclass makes of its fields says nothing"
    bare = [f"{name}.{method}" for method in public(kind) if not is_documented(kind, method)]
    assert bare == []


def test_functions_have_docstrings():
    assert aiogmail.login.__doc__
    assert aiogmail.revoke.__doc__


def test_pydoc_begins_with_what_the_package_is():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pydoc", "aiogmail"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[3].strip().startswith("aiogmail - ")
    assert "Gmail" in done.stdout.splitlines()[3]


@pytest.mark.slow
def test_the_whole_reference_renders_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path), "aiogmail"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "Gmail" in (tmp_path / "aiogmail.html").read_text()
