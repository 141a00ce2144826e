"""A clone of the repository in which tests run DVC: what is in the working tree, committed or not."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest
from ruamel.yaml import YAML

from mt.files import read_json
from pipeline import PARAMS, ROOT, git, stages, tracked
from warm import Warm

UNFILTERED = {
    "filter.max_echo": 1.0,
    "filter.max_copy": 1.0,
    "filter.min_src_script": 0.0,
    "filter.min_src_language": 0.0,
    "filter.max_repetition": 1.0,
    "filter.min_length_ratio": 0.0,
    "filter.max_length_ratio": 1000.0,
    "filter.min_similarity": -1.0,
    "filter.min_logprob": -100.0,
}
"""The thresholds that would drop what a random model writes."""


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, and what its commands find in their environment besides the tests' own."""

    folder: Path
    environment: Mapping[str, str]

    def call(self, *command: str) -> str:
        """Run a command in it; what it prints, errors too."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str, output: IO[str]) -> subprocess.Popen[str]:
        """Start a program of the environment in it, in a process group of its own."""
        words = [sys.executable, "-m", *command]
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.variables(),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        place = Path(sys.executable).parent
        identity = {f"GIT_{role}_{key}": "test" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        return {
            **{name: value for name, value in os.environ.items() if name != "DVC_ROOT"},
            **identity,
            **self.environment,
            "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / "site"),
            "TMPDIR": str(self.temporary()),
        }

    def temporary(self) -> Path:
        """Where its commands put what they need for a moment."""
        place = self.folder.parent / "tmp"
        place.mkdir(exist_ok=True)
        return place

    def dvc(self, *arguments: str) -> str:
        return self.call(sys.executable, "-m", "dvc", *arguments)

    def walk(self, names: Collection[str] | None = None) -> None:
        """Run stages by the commands that dvc.yaml has for them, without DVC, in forks of a Python that is warm.

        Args:
            names: which; if not said, all.
        """
        output = self.folder.parent / "output"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DVC_SITE_CACHE_DIR", self.variables()["DVC_SITE_CACHE_DIR"])
            found = [stage for stage in stages(self.folder).values() if names is None or stage.name in names]
        ((*before, program),) = {stage.before for stage in found}
        assert program == "python"
        assert before[:1] in ([], ["env"])
        settings = dict(word.split("=", 1) for word in before[1:])
        environment = self.variables() | settings | {"DVC_ROOT": str(self.folder)}
        with Warm(environment) as python:
            for stage in found:
                outs = [self.folder / path for path in stage.outs]
                for path in outs:
                    path.parent.mkdir(parents=True, exist_ok=True)
                code = python.run([stage.script, *stage.arguments], self.folder, [environment], output, output)
                assert code == 0, f"{stage.name}:\n{output.read_text(encoding='utf-8')}"
                assert [path for path in outs if not path.exists()] == []

    def commit(self) -> None:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--allow-empty", "--message", "test")

    def reset(self) -> None:
        """Put back what was committed.

        Without git's index: DVC stages dvc.lock with a writer that does not smudge racy entries, after which git takes
        a file of the same size that was changed in the second of its checkout for unchanged.
        """
        (self.folder / ".git" / "index").unlink()
        self.call("git", "reset", "--quiet", "--hard")
        self.dvc("checkout", "--quiet", "--force")

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """metrics/summary.json."""
        tree: dict[str, dict[str, dict[str, float]]] = read_json(self.folder / "metrics/summary.json")
        return tree

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands in a file once."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new), encoding="utf-8")


def ran(output: str) -> list[str]:
    """The stages that DVC says it ran, also where tools/repro.py puts their names before the lines."""
    return sorted(re.findall(r"^(?:\S+ \| )?Running stage '(.+)':", output, flags=re.MULTILINE))


def preset(name: str, values: Mapping[str, Any]) -> str:
    """A preset with other values."""
    return changed(ROOT / "presets" / f"{name}.yaml", values)


def changed(file: Path, values: Mapping[str, Any]) -> str:
    """Parameters with other values; `a.1.b` is the key b of the second item of the list a. Each must stand there."""
    yaml = YAML()
    yaml.width = 1000
    tree = yaml.load(file)
    for key, value in values.items():
        *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        inner = tree
        for part in path:
            inner = inner[part]
        assert isinstance(last, int) or last in inner, key
        inner[last] = value
    text = StringIO()
    yaml.dump(tree, text)
    return text.getvalue()


@contextmanager
def cloned(folder: Path, params: str, environment: Mapping[str, str]) -> Iterator[Clone]:
    """A clone at `folder` with `params` in its params.yaml, all committed; what stands beside it goes with it."""
    git("clone", "--quiet", str(ROOT), str(folder))
    clone = Clone(folder, environment)
    try:
        for path in clone.call("git", "ls-files", "-z").split("\0")[:-1]:
            (folder / path).unlink()
        for path in tracked():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
        (folder / PARAMS).write_text(params, encoding="utf-8")
        clone.commit()
        yield clone
    finally:
        shutil.rmtree(folder.parent)
