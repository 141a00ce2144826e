"""A script that runs in a fork of a warm Python must tell of itself what it would tell in a Python of its own."""

import signal
import time

import pytest

from launch import SEEDS, call, forked

TELLING = """
import os, sys
print(os.getcwd(), os.environ["DVC_ROOT"], sys.argv[1:], __name__, sys.path[0])
print("amiss", file=sys.stderr)
"""
ENDINGS = {
    "": 0,
    "raise SystemExit(3)": 3,
    "raise SystemExit('said')": 1,
    "raise ValueError('no')": 1,
    "import os; os._exit(4)": 4,
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "import atexit; atexit.register(print, 'late')": 0,
}
WAITED = 60
WAITING = f"""
import os, sys, time
if os.environ["RANK"] == sys.argv[1]:
    raise SystemExit(5)
time.sleep({WAITED})
"""


@pytest.fixture(autouse=True, scope="module")
def warm(tmp_path_factory):
    """Both servers have begun."""
    script = tmp_path_factory.mktemp("warm") / "script.py"
    script.write_text("")
    for _ in SEEDS:
        forked(script, root=script.parent)


def test_a_script_finds_and_tells_the_same(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TELLING)
    alone, fork = (run(script, "--a", "b c", root=tmp_path) for run in (call, forked))
    assert (fork.stdout, fork.stderr) == (alone.stdout, alone.stderr)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_the_same(tmp_path, ending):
    script = tmp_path / "script.py"
    script.write_text(f"{ending}\n")
    alone, fork = (run(script, root=tmp_path) for run in (call, forked))
    assert fork.returncode == alone.returncode == ENDINGS[ending]
    assert (fork.stdout, fork.stderr.split("\n")[-2:]) == (alone.stdout, alone.stderr.split("\n")[-2:])


def test_one_run_and_the_next_hash_otherwise(tmp_path):
    """As two Pythons of their own do: what depends on the order of a set must not stay hidden."""
    script = tmp_path / "script.py"
    script.write_text("print(hash('a'))\n")
    first, second, third = (forked(script, root=tmp_path).stdout for _ in range(3))
    assert first != second
    assert first == third


@pytest.mark.parametrize("failing", ["0", "1"])
def test_where_one_of_two_fails_the_other_is_ended(tmp_path, failing):
    script = tmp_path / "script.py"
    script.write_text(WAITING)
    began = time.monotonic()
    assert forked(script, failing, processes=2, root=tmp_path).returncode == 5
    assert time.monotonic() - began < WAITED / 2
