"""The truth of dvc.yaml: deps are what is imported and read, params are what is read, paths are deps and outs.

What reruns after a change follows from that; the table says it in full.
"""

import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.repo import Repo
from dvc_data.hashfile.build import build

from mt.files import replacing, write_text
from mt.params import SECTIONS, keys, load, read_tree
from mt.results import SYSTEMS
from pipeline import (
    LIBRARY,
    PARAMS,
    ROOT,
    Stage,
    closure,
    git,
    imported,
    key_tree,
    library,
    module,
    rerun,
    scripts,
    stages,
    texts,
    tracked,
)

STAGES = stages()
EACH = pytest.mark.parametrize("stage", [pytest.param(stage, id=name) for name, stage in STAGES.items()])
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
TRAINED = [system for system in SYSTEMS if system != "baseline"]
TESTSETS = read_tree(ROOT / PARAMS)["testsets"]


def test_every_script_stands_in_dvc_yaml() -> None:
    assert sorted({stage.script for stage in STAGES.values()}) == scripts()


@EACH
def test_deps_are_what_is_imported_and_read(stage: Stage) -> None:
    read = {path for path in stage.flags.values() if path not in stage.outs}
    assert sorted(stage.deps) == sorted({stage.script} | closure(stage.script) | read)


@EACH
def test_outs_are_what_is_written(stage: Stage) -> None:
    assert set(stage.outs) <= set(stage.flags.values())


@EACH
def test_flags_are_the_fields_of_paths(stage: Stage) -> None:
    assert list(stage.flags) == [field.name for field in fields(module(stage.script).Paths)]


@EACH
def test_params_are_what_is_read(stage: Stage) -> None:
    assert sorted(stage.params) == sorted(keys(module(stage.script).Params, stage.at).values())


def test_every_section_is_read() -> None:
    read = {key.partition(".")[0] for stage in STAGES.values() for key in stage.params}
    assert read | {"environment", "jobs", "launch"} == set(SECTIONS)


@EACH
def test_every_stage_has_the_environment(stage: Stage) -> None:
    assert stage.before == ("env", *read_tree(ROOT / PARAMS)["environment"].split(), "python")


def test_the_groups_of_dvc_yaml_are_those_of_the_parameters() -> None:
    tree = read_tree(ROOT / PARAMS)
    assert list(tree["systems"]) == list(SYSTEMS)
    assert {name for name in STAGES if "@" in name} == {
        *(f"models@{name}" for name in tree["models"]),
        *(f"merge@{name}" for name in TRAINED),
        *(f"finetune@{name}" for name in ["reverse", *TRAINED]),
        *(f"translate@{name}-{testset}" for name in SYSTEMS for testset in TESTSETS),
        *(f"evaluate@{testset}" for testset in TESTSETS),
    }


def test_stages_import_no_stages() -> None:
    names = [Path(script).stem for script in scripts()]
    pattern = re.compile(rf"^\s*(from|import)\s+({'|'.join(names)})\b")
    files = [*scripts(), *(f"{LIBRARY}/{name}.py" for name in library())]
    assert [(path, number) for path, number, line in texts(files) if pattern.match(line)] == []


def test_every_module_of_the_library_serves_a_script() -> None:
    served = set().union(*(closure(path) for path in [*scripts(), "tools/interactive.py", "tools/preset.py"]))
    assert {f"{LIBRARY}/{name}.py" for name in library()} - served == set()


def test_imports_are_found_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.ROOT", tmp_path)
    imported.cache_clear()
    (tmp_path / LIBRARY).mkdir(parents=True)
    for name, text in {"a": "from mt import c\n", "b": "import json\n", "c": "import mt.d\n", "d": "", "e": ""}.items():
        (tmp_path / LIBRARY / f"{name}.py").write_text(text, encoding="utf-8")
    (tmp_path / LIBRARY / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "x.py").write_text("def f():\n    from mt.a import b\n    import mt.b as q\n", encoding="utf-8")
    assert closure("x.py") == {f"{LIBRARY}/{name}.py" for name in ("__init__", "a", "b", "c", "d")}
    imported.cache_clear()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_share_one_key_tree(preset: Path) -> None:
    tree = read_tree(preset)
    assert tree["preset"] == preset.stem
    assert key_tree(tree) == key_tree(read_tree(ROOT / "presets" / "embedded.yaml"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
@EACH
def test_stages_take_every_preset(stage: Stage, preset: Path) -> None:
    load(module(stage.script).Params, preset, stage.at)


def test_params_are_a_copy_of_the_preset_that_they_name() -> None:
    name = read_tree(ROOT / PARAMS)["preset"]
    assert (ROOT / PARAMS).read_bytes() == (ROOT / "presets" / f"{name}.yaml").read_bytes()


@pytest.mark.parametrize("name", ["mt", *(Path(script).stem for script in scripts())])
def test_no_script_shadows_a_module(name: str) -> None:
    own = [ROOT / "stages", ROOT / "tests"]
    elsewhere = [path for path in sys.path if Path(path).resolve() not in own]
    assert name not in sys.stdlib_module_names
    assert PathFinder.find_spec(name, elsewhere) is None


def test_every_script_has_its_tests() -> None:
    wanted = {f"test_{Path(script).stem}.py" for script in scripts()}
    assert wanted - {path.name for path in (ROOT / "tests").glob("test_*.py")} == set()


def test_every_module_of_the_library_has_its_tests() -> None:
    wanted = {f"test_{name}.py" for name in library() if name != "errors"}
    assert wanted - {path.name for path in (ROOT / "tests/mt").glob("test_*.py")} == set()


@dataclass(frozen=True)
class Change:
    """A change, what it reruns, and which outs of a stage it changes where those are not all.

    `expected` may hold groups: `translate@bt-*` stands for every test set.
    """

    keys: tuple[str, ...]
    files: tuple[str, ...]
    expected: str
    changes: Mapping[str, Collection[str]] = field(default_factory=dict)


OF_SYNTHETIC = """
    finetune@bt finetune@ft_bt translate@bt-* translate@ft_bt-* evaluate@* report
"""
OF_TRAINED = """
    finetune@bt finetune@ft finetune@ft_bt translate@bt-* translate@ft-* translate@ft_bt-* evaluate@* report
"""
OF_TRANSLATE = "translate@baseline-* translate@bt-* translate@ft-* translate@ft_bt-* evaluate@* report"

CHANGES = {
    "a threshold of the filter": Change(
        ("filter.min_similarity",), (), f"filter merge@bt merge@ft_bt leakage {OF_SYNTHETIC}"
    ),
    "lora.rank": Change(("lora.rank",), (), OF_TRAINED),
    "reverse.lora.rank": Change(
        ("reverse.lora.rank",),
        (),
        f"finetune@reverse backtranslate score filter merge@bt merge@ft_bt leakage {OF_SYNTHETIC}",
    ),
    "merge.ratio": Change(
        ("merge.ratio",),
        (),
        f"merge@bt merge@ft merge@ft_bt leakage {OF_SYNTHETIC}",
        {"merge@ft": []},  # it takes no synthetic pair at any ratio, so its file stays as it is
    ),
    "beams": Change(("translate.decode.beams",), (), OF_TRANSLATE),
    "shots": Change(("prompt.shots",), (), OF_TRANSLATE),
    "comet.name": Change(("comet.name",), (), f"comet {OF_TRAINED}"),
    "a report's sample": Change(("report.seed",), (), "report"),
    "a test set": Change(
        (),
        ("data/testsets/kyoto.jsonl",),
        "corpora prepare filter leakage translate@*-kyoto evaluate@kyoto report",
        # The splits are drawn by hash, so a test segment moves none that is not near to it.
        {"prepare": ["data/prepared/tests/kyoto.jsonl", "data/prepared/counts.json"], "filter": []},
    ),
    "one more test set, besides its own stages": Change(
        ("testsets", "corpora.tests"),
        (),
        "corpora prepare filter leakage report",
        {"prepare": ["data/prepared/counts.json"], "filter": []},
    ),
    "a module of one stage": Change((), ("stages/mt/perturb.py",), f"comet {OF_TRAINED}"),
}


def unfold(names: str) -> set[str]:
    """The stages that a text names, `*` for any part."""
    found = set()
    for name in names.split():
        matching = {stage for stage in STAGES if re.fullmatch(re.escape(name).replace(r"\*", ".+"), stage)}
        assert matching, name
        found |= matching
    return found


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
def test_what_reruns(change: Change) -> None:
    assert sorted(rerun(change.keys, change.files, change.changes)) == sorted(unfold(change.expected))


def test_everything_reruns_from_the_seed_of_the_splits() -> None:
    before = {"corpora", *(f"models@{name}" for name in ("source", "encoder", "lid", "reverse"))}
    assert rerun(["prepare.seed"], [], {}) == set(STAGES) - before


def test_what_dvc_caches_is_ignored_by_git() -> None:
    cached = [path for stage in STAGES.values() for path, in_cache in stage.outs.items() if in_cache]
    assert [path for path in cached if not ignored(path)] == []


def test_what_a_killed_stage_left_is_ignored_by_git() -> None:
    partial = [f"{Path(path).parent}/.{Path(path).name}.partial" for stage in STAGES.values() for path in stage.outs]
    assert [path for path in partial if not ignored(path)] == []


def test_what_a_killed_stage_left_is_no_part_of_what_dvc_reads(tmp_path: Path) -> None:
    (tmp_path / ".dvcignore").write_bytes((ROOT / ".dvcignore").read_bytes())
    train = tmp_path / "data" / "train"
    write_text(train / "ft.jsonl", "whole\n")
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        before = hashed(repo, train)
        with replacing(train / "bt.jsonl") as file, replacing(train / "folder") as folder:
            file.write_text("half", encoding="utf-8")
            write_text(folder / "inside", "half")
            assert hashed(repo, train) == before
        assert hashed(repo, train) != before


def hashed(repo: Repo, folder: Path) -> str:
    """What DVC would write of a folder into dvc.lock."""
    _, _, tree = build(repo.cache.local, str(folder), localfs, "md5", ignore=repo.dvcignore, dry_run=True)
    return str(tree.hash_info.value)


def test_what_dvc_does_not_cache_is_not_ignored() -> None:
    kept = [path for stage in STAGES.values() for path, in_cache in stage.outs.items() if not in_cache]
    assert kept
    assert [path for path in kept if ignored(path)] == []


def test_what_no_stage_makes_is_committed() -> None:
    made = {path for stage in STAGES.values() for path in stage.outs}
    read = {path for stage in STAGES.values() for path in stage.deps}
    given = [path for path in read if not any(Path(path).is_relative_to(out) for out in made | {"data/scores"})]
    given = [path for path in given if not any(Path(out).is_relative_to(path) for out in made)]
    files = tracked()
    assert [path for path in given if not any(Path(file).is_relative_to(path) for file in files)] == []


def test_no_committed_file_is_ignored() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == ""


def ignored(path: str) -> bool:
    """Whether git would pass over it."""
    return subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False).returncode == 0


FORBIDDEN = {
    "a package index": r"pypi\.(org|io)|pythonhosted\.org|anaconda\.(org|com)|download\.pytorch\.org|/simple/?$",
    "a model hub": r"huggingface\.co(?!/docs/)|\bhf\.co\b",
    "a path of one machine": r"(?<![\w.}>)*~-])/(home|Users|root)/\w|\bfile:///",
}


@pytest.mark.parametrize("pattern", [pytest.param(pattern, id=name) for name, pattern in FORBIDDEN.items()])
def test_no_file_names(pattern: str) -> None:
    assert [f"{path}:{number}" for path, number, line in texts(tracked()) if re.search(pattern, line)] == []


def test_no_file_names_where_the_repository_stands() -> None:
    place = re.compile(rf"(?<![\w.-]){re.escape(str(ROOT))}\b")
    assert [f"{path}:{number}" for path, number, line in texts(tracked()) if place.search(line)] == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a package index", "index-url = https://{}.org/simple".format("pypi"), True),
        ("a package index", "pypi-simple==1.8.0", False),
        ("a model hub", "https://{}.co/google/gemma".format("huggingface"), True),
        ("a model hub", "https://{}.co/docs/peft".format("huggingface"), False),
        ("a path of one machine", "cd {}/someone/honyaku".format("/home"), True),
        ("a path of one machine", "tests/data/home/x, ~/home/x, a/root/b", False),
    ],
)
def test_the_patterns_find(name: str, text: str, found: bool) -> None:
    assert bool(re.search(FORBIDDEN[name], text)) == found
