"""The door works with httpx alone as well as with httpx2, and nobody is warned for it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = "import sys; sys.modules['httpx2'] = None; "


def python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCK + code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_httpx_alone_is_imported_without_a_warning():
    done = python("import aiogmail.oauth.http as door; print(door.H.__name__, 'httpcore2' in sys.modules)")
    assert (done.stdout, done.stderr, done.returncode) == ("httpx False\n", "", 0)


@pytest.mark.slow
def test_the_whole_door_works_with_httpx_alone():
    done = python(
        "import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/oauth/test_http.py', 'tests/oauth/test_secrets.py']))"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
