"""Every check of the project: ``nox`` runs them all, ``nox -s NAME`` one.

The whole test suite, with the real servers and under coverage, runs on the lowest Python that the machine has from 3.11 to
3.13. On the others the tests that are not marked ``slow`` run, without coverage: on one with the lowest versions that pyproject.toml
allows of what we need, on the last one against the wheel as it is released; where there are two others each takes a seventh of the test
files, and ``nox -s everywhere`` gives each of them all. So the whole run stays under 12 minutes on two cores.
What the tests with real servers need is installed first (tests/support/install.py); AIOGMAIL_REAL=0 runs without them, and
the last line says so. Arguments after ``--`` go to pytest.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nox
import nox.virtualenv

ROOT = Path(__file__).parent
SUPPORTED = ("3.11", "3.12", "3.13")
COVERED = 95  # percent of lines and branches in all
PURE = (  # covered wholly: no I/O, so nothing stands in the way
    "aiogmail/errors.py",
    "aiogmail/sasl.py",
    "aiogmail/secret.py",
    "aiogmail/imap/charsets.py",
    "aiogmail/imap/cursor.py",
    "aiogmail/imap/envelope.py",
    "aiogmail/imap/events.py",
    "aiogmail/imap/headers.py",
    "aiogmail/imap/items.py",
    "aiogmail/imap/mime.py",
    "aiogmail/imap/models.py",
    "aiogmail/imap/params.py",
    "aiogmail/imap/plan.py",
    "aiogmail/imap/structure.py",
    "aiogmail/imap/transfer.py",
    "aiogmail/imap/words.py",
    "aiogmail/imap/query.py",
    "aiogmail/imap/uidset.py",
    "aiogmail/imap/labels.py",
    "aiogmail/imap/wire/*",
    "aiogmail/pop3/failures.py",
    "aiogmail/pop3/models.py",
    "aiogmail/pop3/wire.py",
    "aiogmail/smtp/models.py",
    "aiogmail/smtp/wire.py",
    "aiogmail/supervisor/backoff.py",
    "aiogmail/supervisor/policy.py",
    "aiogmail/supervisor/states.py",
)
EXTRAS = "cli,keyring,redis,testing"


def _uv_installs() -> bool:
    """Whether there is a uv, and it finds packages here: it knows nothing of pip's settings (an index of one's own, a proxy)."""
    if not nox.virtualenv.HAS_UV:
        return False
    command = [nox.virtualenv.UV, "pip", "compile", "--quiet", "--no-cache", "-"]
    try:
        return subprocess.run(command, input=b"wheel\n", capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _installer() -> Any:
    """tests/support/install.py, which needs nothing but the standard library; read from its file, whatever else is called tests."""
    spec = importlib.util.spec_from_file_location("aiogmail_tests_install", ROOT / "tests" / "support" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nox.options.default_venv_backend = "uv" if _uv_installs() else "virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the tests start hundreds of processes: each would compile the package anew

install = _installer()
if not install.wanted():
    atexit.register(print, install.WITHOUT)  # after nox's own last words


# -- which Pythons ----------------------------------------------------------------------------------------------------


def _is(version: str, program: Path) -> bool:
    """Whether a program really is that Python: a pyenv shim on PATH may only say that it is not."""
    command = [str(program), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _find(version: str) -> str | None:
    """The path of a Python of that version: nox's own, one on PATH, one of pyenv's."""
    on_path = (shutil.which(f"python{version}", path=folder) for folder in os.environ.get("PATH", "").split(os.pathsep))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(sys.executable), *(Path(program) for program in on_path if program)]
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    return next((str(program) for program in candidates if program.exists() and _is(version, program)), None)


PYTHONS = {version: path for version in SUPPORTED if (path := _find(version))}
for _version in SUPPORTED:
    if _version not in PYTHONS:
        print(f"No Python {_version} on this machine: its tests do not run.")
if not PYTHONS:
    sys.exit(f"None of Python {', '.join(SUPPORTED)} was found on PATH or under pyenv: install one.")
LOWEST = next(iter(PYTHONS))
_OTHERS = [version for version in PYTHONS if version != LOWEST]
_SHARES = 7  # each of the others runs one of so many parts of the quick tests; ``nox -s everywhere`` runs them all
OLD_NEEDS = _OTHERS[0] if _OTHERS else None
"""Which Python tests the lowest versions allowed."""
RELEASED = _OTHERS[-1] if _OTHERS else None
"""Which Python tests the wheel."""


# -- sessions ---------------------------------------------------------------------------------------------------------


def _install(session: nox.Session, *groups: str) -> None:
    """The project, editable, and dependency groups; by name, because an older pip knows no ``--group``."""
    pyproject = nox.project.load_toml(ROOT / "pyproject.toml")
    session.install("-e", f".[{EXTRAS}]", *nox.project.dependency_groups(pyproject, *groups))


def _real_servers(session: nox.Session) -> None:
    """Have the real servers, or end with the one line that says what to do."""
    try:
        install.ensure()
    except install.NotInstallable as error:
        session.error(str(error))


@nox.session(python=PYTHONS[LOWEST])
def lint(session: nox.Session) -> None:
    """Style, names, formatting."""
    pyproject = nox.project.load_toml(ROOT / "pyproject.toml")
    session.install(*[tool for tool in nox.project.dependency_groups(pyproject, "lint") if "ruff" in tool])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=PYTHONS[LOWEST])
def layers(session: nox.Session) -> None:
    """Imports only go down."""
    _install(session, "lint")
    session.run("lint-imports", "--no-cache")


@nox.session(python=PYTHONS[LOWEST])
def types(session: nox.Session) -> None:
    """mypy and pyright, over the package and a file that uses it as a stranger would."""
    _install(session, "types")
    checked = ("aiogmail", "tests/typing_use.py")
    with ThreadPoolExecutor() as both:  # each has a core to itself; ``result`` raises what failed
        for check in [both.submit(session.run, *command, *checked) for command in (("mypy", "--strict"), ("pyright",))]:
            check.result()


def _node_modules(session: nox.Session) -> None:
    """imapflow and nodemailer, for the tests that let them talk to the emulator; without npm those tests say why they are skipped."""
    folder = ROOT / ".nox" / "node"
    if shutil.which("npm") is None:
        return
    if not (folder / "node_modules" / "nodemailer").exists():
        wanted = ("imapflow", "nodemailer")
        session.run(
            "npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *wanted, external=True, success_codes=[0, 1]
        )
    session.env["NODE_PATH"] = str(folder / "node_modules")


def _lowest_needs() -> list[str]:
    """The lower end of every range in pyproject.toml: of what the package and its extras need."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
    extras = project["optional-dependencies"].values()
    ranges = [*project["dependencies"], *(need for extra in extras for need in extra if not need.startswith("aiogmail["))]
    return [re.sub(r">=([^,]+).*", r"==\1", need) for need in ranges]


def _build(session: nox.Session) -> Path:
    """The wheel of this checkout, built by way of the source distribution."""
    folder = Path(session.create_tmp()) / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.install("build>=1.2")
    uv = shutil.which(nox.virtualenv.UV) if session.venv_backend == "uv" else None
    path = os.pathsep.join([str(Path(uv or sys.executable).parent), os.environ.get("PATH", "")])  # where ``build`` looks for uv
    command = ("python", "-m", "build", "--installer", "uv" if uv else "pip", "--outdir", str(folder), str(ROOT))
    session.run(*command, silent=True, env={"PATH": path})
    [wheel] = folder.glob("*.whl")
    return wheel


def _apart_from_the_package(session: nox.Session) -> Path:
    """The tests and what they read, in a folder without ``aiogmail/``: what they import is what is installed."""
    folder = Path(session.create_tmp()) / "checkout"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT, folder, ignore=lambda where, names: [n for n in names if n in _LEFT_OUT or (n == "aiogmail" and Path(where) == ROOT)]
    )
    return folder


_LEFT_OUT = (".git", ".nox", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "build", "dist")


def _tests(version: str, session: nox.Session) -> None:
    if version != LOWEST:
        _other_tests(version, session)
        return
    _install(session, "test")
    _real_servers(session)
    _node_modules(session)
    session.run("coverage", "erase")
    # As a program of its own: the package's pytest plugin is imported before any pytest plugin could begin to measure.
    # Four workers for two cores: the commands, the real servers and the deadlines are mostly waited for.
    session.run(
        "coverage", "run", "-m", "pytest", "-n", "4", "--dist", "worksteal", "-m", "not nightly and not unmeasured", *session.posargs
    )
    session.run(
        "python",
        "-m",
        "pytest",
        "-n",
        "4",
        "--dist",
        "worksteal",
        "-m",
        "unmeasured and not nightly",
        *session.posargs,
        success_codes=[0, 5],
    )
    session.notify("coverage")


def _other_tests(version: str, session: nox.Session) -> None:
    needs = _lowest_needs() if version == OLD_NEEDS else []
    package = f"{_build(session)}[{EXTRAS}]" if version == RELEASED else f".[{EXTRAS}]"
    pyproject = nox.project.load_toml(ROOT / "pyproject.toml")
    reinstalled = ["--force-reinstall", "--no-deps", package.partition("[")[0]] if version == RELEASED else ["-e", "."]
    session.install(package, *needs, *nox.project.dependency_groups(pyproject, "test"))
    session.install(*reinstalled)
    _real_servers(session)
    if version == RELEASED:
        session.chdir(_apart_from_the_package(session))
    part = f"{_OTHERS.index(version) + 1}/{_SHARES}"
    session.run(
        "python", "-m", "pytest", "-n", "4", "--dist", "worksteal", "-m", "not slow and not nightly", "--part", part, *session.posargs
    )


@nox.session(python=PYTHONS[RELEASED or LOWEST], default=False)
def everywhere(session: nox.Session) -> None:
    """All tests that are not slow, on every other Python; ``nox -s nightly`` has the slow ones."""
    for version in _OTHERS:
        session.notify(f"tests-{version}", ["--part", "1/1", *session.posargs])


@nox.session(python=PYTHONS[RELEASED or LOWEST])
def release(session: nox.Session) -> None:
    """The wheel and the source distribution are whole; the wheel and each extra install by themselves."""
    wheel = _build(session)
    session.install("twine>=6")
    session.run("twine", "check", "--strict", *map(str, wheel.parent.iterdir()))
    [source] = wheel.parent.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (".ci/run", "CHANGELOG.md", "LICENSE", "README.md", "noxfile.py", "tests/test_readme.py", "benchmarks/__main__.py"):
        if needed not in packed:
            session.error(f"{source.name} lacks {needed}: what is released could not be tested")
    for extra in ("", *EXTRAS.split(",")):
        venv = wheel.parent.parent / f"venv-{extra or 'alone'}"
        shutil.rmtree(venv, ignore_errors=True)
        python = str(venv / ("Scripts" if os.name == "nt" else "bin") / "python")
        package = f"{wheel}[{extra}]" if extra else str(wheel)
        if session.venv_backend == "uv":
            session.run("uv", "venv", "-q", "--python", str(PYTHONS[RELEASED or LOWEST]), str(venv))
            session.run("uv", "pip", "install", "-q", "--python", python, package)
        else:
            session.run("python", "-m", "venv", str(venv))
            session.run(python, "-m", "pip", "install", "-q", package, external=True)
        session.run(python, "-W", "error", "-c", _IMPORTS[extra], external=True)


_IMPORTS = {
    "": "import aiogmail, aiogmail.cli, pathlib; assert (pathlib.Path(aiogmail.__file__).parent / 'py.typed').exists()",
    "cli": "import aiogmail.cli.app",
    "keyring": "from aiogmail import KeyringTokenStore; KeyringTokenStore()",
    "redis": "from aiogmail import RedisTokenStore; RedisTokenStore('redis://127.0.0.1:1')",
    "testing": "import aiogmail.testing.plugin, aiogmail.testing; aiogmail.testing.GmailEmulator()",
}


for _version, _path in PYTHONS.items():
    _named = functools.partial(_tests, _version)
    functools.update_wrapper(_named, _tests)
    _named.__doc__ = f"The tests on Python {_version}" + (
        ", all of them, measured." if _version == LOWEST else ", a part of the quick ones."
    )
    nox.session(_named, python=_path, name=f"tests-{_version}", tags=["tests"])


@nox.session(python=PYTHONS[LOWEST], default=False)
def coverage(session: nox.Session) -> None:
    """What the tests just measured is enough; ``tests`` calls it."""
    pyproject = nox.project.load_toml(ROOT / "pyproject.toml")
    session.install(*[tool for tool in nox.project.dependency_groups(pyproject, "test") if tool.startswith("coverage")])
    session.run("coverage", "combine")
    if session.posargs:
        session.log("arguments chose the tests: no bound is checked")
        session.run("coverage", "report")
        return
    session.run("coverage", "report", f"--fail-under={COVERED}")
    pure = [pattern for pattern in PURE if any(ROOT.glob(pattern))]
    session.run("coverage", "report", f"--include={','.join(pure)}", "--fail-under=100")


@nox.session(python=PYTHONS[LOWEST], default=False)
def nightly(session: nox.Session) -> None:
    """What is too slow for every run."""
    _install(session, "test")
    _real_servers(session)
    # pytest ends with 5 where no test was chosen: until there is a nightly test, that is no failure.
    session.run("python", "-m", "pytest", "-n", "2", "-m", "nightly", *session.posargs, success_codes=[0, 5])


@nox.session(python=PYTHONS[LOWEST], default=False)
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing, 20 minutes a target (or AIOGMAIL_FUZZ_SECONDS), from the corpus of the tests."""
    _install(session, "test")
    session.install("atheris>=2.3")
    seconds = os.environ.get("AIOGMAIL_FUZZ_SECONDS", "1200")
    for target in ("imap_feed", "encoder", "pop_multiline", "smtp_reply"):
        folder = Path(session.create_tmp()) / target
        folder.mkdir(exist_ok=True)
        seeds = [str(ROOT / "tests" / "imap" / "wire" / "corpus")] if target == "imap_feed" else []
        limits = [f"-max_total_time={seconds}", "-max_len=3000", "-timeout=10", f"-artifact_prefix={folder}/"]
        session.run("python", "-m", f"tests.fuzz.{target}", *limits, str(folder), *seeds)
