"""The whole pipeline through DVC, on the smoke preset, in a clone of the repository at a path with a space in it.

It runs what is in the working tree, committed or not. The clone and its cache take three gigabytes for as long as the
tests run; the archives come from the user's cache and are downloaded only where that lacks them.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from clone import Clone, cloned, ran
from mt.degenerate import COUNTS
from mt.params import read_tree
from mt.results import SYSTEMS
from mt.segments import read_segments
from pipeline import PARAMS, ROOT, rerun, stages

pytestmark = pytest.mark.slow

TESTSETS = read_tree(ROOT / "presets" / "smoke.yaml")["testsets"]


class Made(NamedTuple):
    """The clone after a first run as of `make repro`, what that printed, and the files that git then found changed."""

    clone: Clone
    output: str
    changed: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A clone in which all is made, until the tests of this file end."""
    folder = tmp_path_factory.mktemp("smoke") / "a clone"
    preset = (ROOT / "presets" / "smoke.yaml").read_text(encoding="utf-8")
    with cloned(folder, preset, {"PYTHONPATH": "stages"}) as clone:
        output = clone.call(sys.executable, "tools/repro.py")
        changed = clone.call("git", "status", "--porcelain", "-z", "--untracked-files=all").split("\0")[:-1]
        clone.commit()
        yield Made(clone, output, [line[3:] for line in changed])


@pytest.fixture
def clone(made: Made) -> Iterator[Clone]:
    """The clone as it was committed, for a test that changes something."""
    yield made.clone
    made.clone.reset()


def test_every_stage_ran(made: Made) -> None:
    assert ran(made.output) == sorted(stages())


def test_every_out_is_there(made: Made) -> None:
    assert [path for stage in stages().values() for path in stage.outs if not (made.clone.folder / path).exists()] == []


def test_git_sees_the_lock_and_the_metrics_and_nothing_else(made: Made) -> None:
    assert "dvc.lock" in made.changed
    assert [path for path in made.changed if path != "dvc.lock" and not path.startswith("metrics/")] == []


def test_nothing_half_written_stays(made: Made) -> None:
    assert [path for path in made.clone.folder.rglob("*.partial") if ".dvc" not in path.parts] == []


def test_the_summary_has_every_test_set_and_system(made: Made) -> None:
    summary = made.clone.summary()
    assert sorted(summary) == sorted(TESTSETS)
    for systems in summary.values():
        assert sorted(systems) == sorted(SYSTEMS)
        for scores in systems.values():
            assert set(scores) == {"bleu", "chrf", "comet_mini", *COUNTS, "ja"}


def test_a_second_run_does_nothing(made: Made) -> None:
    assert ran(made.clone.dvc("repro")) == []
    assert ran(made.clone.dvc("repro", "--allow-missing", "--dry")) == []


def test_a_changed_threshold_reruns_what_follows_from_it(clone: Clone) -> None:
    threshold = drops_some(read_segments(clone.folder / "data/synthetic/filtered.jsonl", ("tgt",)))
    before = clone.summary()
    output = clone.dvc("exp", "run", "-S", f"filter.min_similarity={threshold}")
    assert ran(output) == sorted(rerun(["filter.min_similarity"], [], {}))
    after = clone.summary()
    for testset in TESTSETS:
        for system in ("baseline", "ft"):
            assert after[testset][system] == before[testset][system]
    differences = json.loads(clone.dvc("metrics", "diff", "--json", "HEAD"))
    assert set(differences.get("metrics/summary.json", {})) == {
        f"{testset}.{system}.{metric}"
        for testset in TESTSETS
        for system in SYSTEMS
        for metric, value in after[testset][system].items()
        if value != before[testset][system][metric]
    }
    table = clone.dvc("metrics", "diff", "--all", "--md", "HEAD")
    assert re.search(r"^\| metrics/summary\.json +\| tatoeba\.ft_bt\.chrf +\|", table, flags=re.MULTILINE)


def drops_some(kept: list[dict[str, Any]]) -> float:
    """A threshold of similarity that drops a quarter of the segments."""
    similarities = sorted(segment["scores"]["similarity"] for segment in kept)
    threshold: float = similarities[len(similarities) // 4]
    assert similarities[0] < threshold
    return threshold


def test_a_ratio_leaves_the_system_without_synthetic_pairs_alone(clone: Clone) -> None:
    clone.replace(PARAMS, "ratio: 1.0 ", "ratio: 0.5 ")
    assert ran(clone.dvc("repro", "merge")) == ["merge@bt", "merge@ft", "merge@ft_bt"]
    changed = json.loads(clone.dvc("status", "--json"))
    assert sorted(changed) == ["finetune@bt", "finetune@ft_bt", "leakage"]


def test_a_changed_test_set_is_translated_and_scored_alone(clone: Clone) -> None:
    first = read_segments(clone.folder / "data/prepared/tests/kyoto.jsonl", ("src", "tgt"))[0]
    clone.replace("data/testsets/kyoto.jsonl", first["src"], "Lanterns of pale indigo hung beside each zinc tramway.")
    assert ran(clone.dvc("repro", "prepare")) == ["corpora", "prepare"]
    changed = json.loads(clone.dvc("status", "--json"))
    own = {name for name in stages() if name.endswith("-kyoto") or name == "evaluate@kyoto"}
    assert set(changed) == own | {"filter", "leakage", "report"}


def test_a_remote_takes_the_work_to_another_clone(clone: Clone) -> None:
    remote, elsewhere = clone.folder.parent / "remote", clone.folder.parent / "elsewhere"
    clone.dvc("remote", "add", "--default", "shared", str(remote))
    clone.commit()
    clone.dvc("push")
    clone.call("git", "clone", "--quiet", str(clone.folder), str(elsewhere))
    other = Clone(elsewhere, clone.environment)
    other.dvc("pull", "data/hyps/ft/kyoto.jsonl")
    assert (elsewhere / "data/hyps/ft/kyoto.jsonl").read_bytes() == (
        clone.folder / "data/hyps/ft/kyoto.jsonl"
    ).read_bytes()
    other.dvc("pull", "finetune", "translate", "evaluate")
    assert ran(other.dvc("repro", "--pull", "--allow-missing")) == []
    other.replace(PARAMS, "bootstrap_samples: 100\n", "bootstrap_samples: 50\n")
    assert ran(other.dvc("repro", "--pull", "--allow-missing")) == sorted(rerun(["evaluate.bootstrap_samples"], [], {}))
    assert not (elsewhere / "models/source").exists()
