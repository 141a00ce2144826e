"""dvc.yaml as DVC reads it, beside what its scripts import and read: what the tests of the pipeline compare."""

import ast
import importlib.util
import shlex
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
LIBRARY = "stages/mt"
PARAMS = "params.yaml"


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its groups unfolded.

    Attributes:
        name: DVC's name, such as `finetune@ft`.
        before: the words of `cmd` that stand before the script.
        script: the script's path from the root of the repository.
        arguments: the words behind it.
        flags: the paths that `cmd` gives, by flag without dashes and with `_`.
        at: the parameter's field → its key in params.yaml, as `--at` says.
        deps: the paths that DVC watches.
        outs: the paths that DVC makes; value: whether DVC caches it.
        params: the keys of params.yaml that DVC watches.
    """

    name: str
    before: tuple[str, ...]
    script: str
    arguments: tuple[str, ...]
    flags: dict[str, str]
    at: dict[str, str]
    deps: frozenset[str]
    outs: dict[str, bool]
    params: frozenset[str]


@cache
def stages(root: Path = ROOT) -> dict[str, Stage]:
    """Every stage of a repository by its name, those that make a thing before those that read it."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a library that DVC uses
        graph = repo.index.graph
        found = {stage.name: _stage(stage) for stage in graph}
        above = {stage.name: sorted(below.name for below in graph.successors(stage)) for stage in graph}
    return {name: found[name] for name in TopologicalSorter(dict(sorted(above.items()))).static_order()}


def _stage(stage: Any) -> Stage:
    from dvc.dependency import ParamsDependency

    words = shlex.split(stage.cmd)
    (start,) = [number for number, word in enumerate(words) if word.endswith(".py")]
    pairs = list(zip(words[start + 1 :: 2], words[start + 2 :: 2], strict=True))
    watched = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return Stage(
        name=stage.name,
        before=tuple(words[:start]),
        script=words[start],
        arguments=tuple(words[start + 1 :]),
        flags={
            flag.removeprefix("--").replace("-", "_"): value
            for flag, value in pairs
            if flag not in ("--params", "--at")
        },
        at=dict(value.split("=", 1) for flag, value in pairs if flag == "--at"),
        deps=frozenset(dep.def_path for dep in stage.deps if dep not in watched),
        outs={out.def_path: out.use_cache for out in stage.outs},
        params=frozenset(key for dep in watched for key in dep.params),
    )


def scripts() -> list[str]:
    """The stages' scripts, as paths from the root."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "stages").glob("*.py"))


def library() -> list[str]:
    """The names of the modules in stages/mt/."""
    return sorted(path.stem for path in (ROOT / LIBRARY).glob("*.py") if path.stem != "__init__")


@cache
def imported(file: str) -> frozenset[str]:
    """The files of stages/mt/ that a file imports by itself, inside functions too, and the package that holds them."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{file}:{node.lineno}: a relative import")
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "mt" else {str(node.module)}
            )
    parts = {name.split(".")[1] for name in found if name.startswith("mt.")}
    return frozenset(f"{LIBRARY}/{part}.py" for part in {*parts, "__init__"}) if parts else frozenset()


def closure(file: str) -> set[str]:
    """The files of stages/mt/ that a file imports, directly or not."""
    found: set[str] = set()
    ahead = {file}
    while ahead:
        ahead = set().union(*map(imported, ahead)) - found
        found |= ahead
    return found


@cache
def module(script: str) -> ModuleType:
    """A script as a module, under a name that shadows nothing."""
    name = f"script_{Path(script).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / script)
    if spec is None or spec.loader is None:
        raise ImportError(script)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


def key_tree(tree: Any) -> Any:
    """The keys of nested mappings; lists are values."""
    return {key: key_tree(value) for key, value in tree.items()} if isinstance(tree, dict) else None


def rerun(
    changed_keys: Collection[str],
    changed_files: Collection[str],
    changes: Mapping[str, Collection[str]],
    root: Path = ROOT,
) -> set[str]:
    """The stages that run after a change.

    Args:
        changed_keys: keys of params.yaml.
        changed_files: files that no stage makes.
        changes: for stages whose outs do not all change, those that do; of others, all do.
        root: the repository.
    """
    files, found = set(changed_files), set()
    for stage in stages(root).values():
        by_key = any(_overlap(key, param, ".") for key in changed_keys for param in stage.params)
        if by_key or any(_overlap(file, dep, "/") for file in files for dep in stage.deps):
            found.add(stage.name)
            files |= set(changes.get(stage.name, stage.outs))
    return found


def _overlap(one: str, other: str, separator: str) -> bool:
    a, b = one.split(separator), other.split(separator)
    return a[: len(b)] == b[: len(a)]


def tracked() -> list[str]:
    """The files of the repository as git would commit them now."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted({path for path in listed if path and (ROOT / path).is_file()})


def texts(paths: Iterable[str]) -> Iterator[tuple[str, int, str]]:
    """File, line number and line of every file that is text."""
    for path in paths:
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
                yield path, number, line


def git(*arguments: str) -> str:
    """What a git command prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
