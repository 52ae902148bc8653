"""What the real servers need is installed by the project's own files, or one line says what to do. (apt-get is a script here.)"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import install

ROOT = Path(__file__).parents[2]


class Machine:
    """A pretended Debian: programs are files below ``folder``, ``apt-get`` does what ``on_install`` and ``on_update`` say."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.program = folder / "dovecot-imap"
        self.policy = folder / "policy-rc.d"
        (folder / "bin").mkdir()
        monkeypatch.setattr(install, "PROGRAMS", {"dovecot-imapd": (str(self.program),)})
        monkeypatch.setattr(install, "POLICY", self.policy)
        monkeypatch.setattr(install, "_PAUSE", 0.01)
        monkeypatch.setattr(install, "_keep_stopped", lambda root, packages: None)  # no systemctl on this real machine
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv(install.SWITCH, raising=False)

    def apt_get(self, on_install: str, on_update: str = ":") -> None:
        calls = self.folder / "calls"
        self.script(
            "apt-get",
            f'echo "$DEBIAN_FRONTEND $*" >> {calls}\ncase " $* " in *" update "*) {on_update};; *" install "*) {on_install};; esac',
        )

    def script(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def failure() -> str:
    with pytest.raises(install.NotInstallable) as caught:
        install.ensure()
    (line,) = str(caught.value).splitlines()
    return line


def test_what_is_there_is_not_installed(machine):
    machine.program.touch()
    machine.apt_get("exit 9")
    install.ensure()
    assert not (machine.folder / "calls").exists()


def test_what_is_missing_is_installed_without_questions_and_without_starting_services(machine, capsys):
    machine.apt_get(f"cp {machine.policy} {machine.folder}/then; touch {machine.program}")
    install.ensure()
    assert [call.split()[0] for call in machine.calls] == ["noninteractive"] * 2
    assert "update" in machine.calls[0]
    assert machine.calls[1].endswith("install --yes --no-install-recommends dovecot-imapd")
    assert subprocess.run(["sh", str(machine.folder / "then")], check=False).returncode == 101, "services were forbidden to start"
    assert not machine.policy.exists(), "and are no longer"
    assert capsys.readouterr().out == "Installing dovecot-imapd for the tests with real servers.\n"


def test_the_owners_own_policy_for_services_stays_as_it_is(machine):
    machine.policy.write_text("#!/bin/sh\nexit 0\n")
    machine.apt_get(f"touch {machine.program}")
    install.ensure()
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_busy_lock_is_waited_for(machine):
    busy = f"if mkdir {machine.folder}/once 2>/dev/null; then echo 'E: Could not get lock /var/lib/apt/lists/lock.' >&2; exit 100; fi"
    machine.apt_get(f"touch {machine.program}", on_update=busy)
    install.ensure()
    assert ["update" in call for call in machine.calls] == [True, True, False]
    assert all("-o DPkg::Lock::Timeout=300" in call for call in machine.calls)


def test_without_a_network_one_line_says_so(machine):
    machine.apt_get(
        "echo 'E: Unable to locate package dovecot-imapd' >&2; echo 'E: more' >&2; exit 100",
        on_update="echo \"W: Failed to fetch http://deb.example.org/ Could not resolve 'deb.example.org'\" >&2",
    )
    assert failure() == (
        "Missing dovecot-imapd (apt-get: Failed to fetch http://deb.example.org/ Could not resolve 'deb.example.org'): "
        "install them, or run the tests without real servers with AIOGMAIL_REAL=0."
    )
    assert not machine.policy.exists()


def test_a_package_that_brings_something_else_is_noticed(machine):
    machine.apt_get(":")
    assert "their programs are not where they are looked for" in failure()


def test_elsewhere_one_line_names_the_packages_and_the_switch(machine, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert failure() == (
        "Missing dovecot-imapd (there is no apt-get here): install them, or run the tests without real servers with AIOGMAIL_REAL=0."
    )


@pytest.mark.parametrize("status", [0, 1])
def test_who_is_not_root_needs_sudo_without_a_password(machine, monkeypatch, status):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.script("sudo", f'echo "sudo $*" >> {machine.folder}/calls; shift; [ {status} = 0 ] && exec "$@"')
    machine.apt_get(f"touch {machine.program}")
    if status == 0:
        install.ensure()
        assert sum(call.startswith("sudo -n env ") for call in machine.calls) == 2
    else:
        assert "neither root nor may it sudo without a password" in failure()
        assert machine.calls == ["sudo -n true"]


def test_the_switch_installs_nothing_and_says_so_as_a_program(tmp_path):
    command = [sys.executable, "-m", "tests.support.install"]
    environment = {**os.environ, install.SWITCH: "0", "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == install.WITHOUT + "\n"


def test_a_failure_is_one_line_and_status_1(machine, capsys):
    machine.apt_get("exit 100")
    assert install.main() == 1
    assert capsys.readouterr().err.count("\n") == 1


# -- .ci/run ----------------------------------------------------------------------------------------------------------


def ci_run(folder: Path, readme: str, python: str = ":") -> subprocess.CompletedProcess[str]:
    """.ci/run in a repository of its own, whose README says ``readme`` and whose python3 is a script."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(readme)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "bin" / "python3").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", str(folder / ".ci" / "run")], env=environment, capture_output=True, text=True, check=False)


def test_ci_runs_the_command_of_the_readme_in_its_folder_and_keeps_its_status(tmp_path):
    readme = "```\necho other\n```\n<!-- command: tests -->\n\n```sh\npwd; exit 7\n```\n\n```\necho later\n```\n"
    done = ci_run(tmp_path, readme)
    assert (done.stdout, done.returncode) == (f"+ pwd; exit 7\n{tmp_path}\n", 7)


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("cat && exit 3", 3), ("false", 1)])
def test_ci_reads_no_input_and_ends_as_the_command_does(tmp_path, command, status):
    assert ci_run(tmp_path, f"<!-- command: tests -->\n```\n{command}\n```\n").returncode == status


def test_ci_says_in_one_line_that_python_cannot_make_environments(tmp_path):
    done = ci_run(tmp_path, "<!-- command: tests -->\n```\ntrue\n```\n", python="exit 1")
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ci_says_that_the_readme_has_no_command(tmp_path):
    done = ci_run(tmp_path, "```\ntrue\n```\n")
    assert (done.returncode, done.stderr) == (1, "README.md has no fenced block after <!-- command: tests -->.\n")
