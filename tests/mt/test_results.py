"""What the report reads is held to what the stages before it write."""

from pathlib import Path
from typing import Any

import pytest

from mt.errors import InputError
from mt.results import (
    Leaks,
    PairedTest,
    development_metrics,
    is_built,
    metric_order,
    read_comet,
    read_leakage,
    read_testset,
    read_training,
)
from report_inputs import COMET, LOG, NOTHING_TRAINED, PUBLISHED, dump, epochs, leakage, scores

BT = ("data/train/bt.jsonl", "testsets")


def without(tree: Any, *place: str | int) -> Any:
    """The tree less what stands at `place`."""
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return tree


def changed(tree: Any, value: Any, *place: str | int) -> Any:
    """The tree with `value` at `place`."""
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return tree


BROKEN = {
    "no segments": (without(scores("t", 2), "segments"), "segments: missing"),
    "a system less": (without(scores("t", 2), "systems", "ft"), "'ft' is missing or unknown"),
    "a system more": (changed(scores("t", 2), {}, "systems", "mert"), "'mert' is missing or unknown"),
    "no bound": (without(scores("t", 2), "systems", "ft", "chrf", "low"), "low: missing"),
    "a text for a number": (
        changed(scores("t", 2), "0.9", "systems", "ft", "ja"),
        r"systems\.ft\.ja: must be a number",
    ),
    "no share": (without(scores("t", 2), "systems", "baseline", "ja"), "no share in one target language"),
    "no bootstrap": (without(scores("t", 2), "bootstrap"), "bootstrap: missing"),
    "a truth for a count": (
        changed(scores("t", 2), True, "systems", "ft", "empty"),
        r"systems\.ft\.empty: must be a count",
    ),
    "a count less": (without(scores("t", 2), "systems", "ft", "cut"), r"systems\.ft\.cut: missing"),
    "a share for a count": (changed(scores("t", 2), 0.5, "systems", "ft", "degenerate"), "degenerate: must be a count"),
    "a test less": (without(scores("t", 2), "paired", 0), "no test of baseline and bt in bleu"),
    "a segment score less": (without(scores("t", 2), "segment_scores", "ft", "chrf", 0), "not 2 scores"),
    "a name that is a path": (
        changed(scores("t", 2), "x", "signatures", "comet_../../x"),
        r"'comet_\.\./\.\./x' is no metric",
    ),
    "a name that is too long for a file": (
        changed(scores("t", 2), "x", "signatures", "comet_" + "猫" * 100),
        "is no metric",
    ),
    "no BLEU": (without(scores("t", 2), "signatures", "bleu"), r"signatures\.bleu: missing"),
    "another test set": (scores("kyoto", 2), "testset: is 'kyoto', not t"),
}


@pytest.mark.parametrize(("tree", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_scores_are_named(tmp_path: Path, tree: Any, message: str) -> None:
    dump(tmp_path / "t.json", tree)
    with pytest.raises(InputError, match=message) as error:
        read_testset(tmp_path / "t.json")
    assert str(error.value).startswith(str(tmp_path / "t.json"))
    assert "\n" not in str(error.value)


def test_a_test_reads_both_ways(tmp_path: Path) -> None:
    dump(tmp_path / "t.json", scores("t", 2))
    testset = read_testset(tmp_path / "t.json")
    there, back = testset.test("bt", "ft", "chrf"), testset.test("ft", "bt", "chrf")
    assert there.difference < 0
    assert back == PairedTest(-there.difference, there.p)


def test_metric_order() -> None:
    assert metric_order(["comet_wmt22", "chrf", "comet_mini", "bleu"]) == ["bleu", "chrf", "comet_mini", "comet_wmt22"]


def test_training_is_read(tmp_path: Path) -> None:
    dump(tmp_path / "epochs.json", epochs("ft"))
    dump(tmp_path / "log.json", LOG)
    training = read_training(tmp_path, "ft")
    assert [epoch.best for epoch in training.epochs] == [False, True, False]
    assert set(training.epochs[0].scores) == {"chrf", "comet_mini"}


def test_only_the_reverse_model_may_stay_untrained(tmp_path: Path) -> None:
    for system, rows in {"reverse": [], "bt": epochs("bt")}.items():
        dump(tmp_path / system / "epochs.json", rows)
        dump(tmp_path / system / "log.json", NOTHING_TRAINED)
    trainings = [read_training(tmp_path / system, system) for system in ("reverse", "bt")]
    assert trainings[0].epochs == []
    assert development_metrics(trainings) == ["chrf", "comet_mini"]
    with pytest.raises(InputError, match="holds no epoch"):
        read_training(tmp_path / "reverse", "ft")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no epoch"),
        (without(epochs("ft"), 1, "best"), "best: missing"),
        (without(epochs("ft"), 1, "loss"), "loss: missing"),
        (changed(epochs("ft"), float("nan"), 1, "loss"), "not JSON .NaN is no number"),
    ],
    ids=["none", "no best", "no loss", "nan"],
)
def test_broken_training_is_named(tmp_path: Path, rows: Any, message: str) -> None:
    dump(tmp_path / "epochs.json", rows)
    dump(tmp_path / "log.json", LOG)
    with pytest.raises(InputError, match=message):
        read_training(tmp_path, "ft")


def test_leakage_is_read(tmp_path: Path) -> None:
    tree = changed(leakage(["kyoto", "tatoeba"]), 3, "data/train/bt.jsonl", "leaks")
    dump(tmp_path / "metrics.json", changed(tree, {"kyoto": {"leaks": 2}, "tatoeba": {"leaks": 1}}, *BT))
    assert read_leakage(tmp_path / "metrics.json") == [
        Leaks("data/prepared/train.jsonl", 400, 0, {"kyoto": 0, "tatoeba": 0}),
        Leaks("data/train/bt.jsonl", 1100, 3, {"kyoto": 2, "tatoeba": 1}),
    ]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "tells of no file"),
        ([], "must hold an object"),
        ({"train.jsonl": 7}, "train.jsonl: must be an object"),
        (without(leakage(["kyoto"]), "data/train/bt.jsonl", "segments"), r"data/train/bt\.jsonl\.segments: missing"),
        (
            changed(leakage(["kyoto"]), {"genuine": 0}, "data/train/bt.jsonl", "leaks"),
            r"data/train/bt\.jsonl\.leaks: must be a count",
        ),
        (changed(leakage(["kyoto"]), {"kyoto": {}}, *BT), r"data/train/bt\.jsonl\.testsets\.kyoto\.leaks: missing"),
        (changed(leakage(["kyoto"]), {"wmt24": {"leaks": 0}}, *BT), "not all files were held to the same test sets"),
    ],
)
def test_broken_leakage_is_named(tmp_path: Path, tree: Any, message: str) -> None:
    dump(tmp_path / "metrics.json", tree)
    with pytest.raises(InputError, match=rf"metrics\.json: {message}"):
        read_leakage(tmp_path / "metrics.json")


@pytest.mark.parametrize(
    ("comet", "built"), [(COMET, True), ({**COMET, "checkpoint": "wmt"}, True), (PUBLISHED, False)]
)
def test_a_checkpoint_is_built_where_it_was_measured(comet: dict[str, Any], built: bool, tmp_path: Path) -> None:
    dump(tmp_path / "metrics.json", comet)
    assert is_built(read_comet(tmp_path / "metrics.json")) is built


@pytest.mark.parametrize(
    ("comet", "message"),
    [
        (without({**COMET}, "ranking_accuracy"), "ranking_accuracy: missing"),
        (without({**PUBLISHED}, "repo"), "repo: missing"),
        ([], "must hold an object"),
        (7, "must hold an object"),
    ],
)
def test_a_checkpoint_that_is_half_told_of_is_named(comet: Any, message: str, tmp_path: Path) -> None:
    dump(tmp_path / "metrics.json", comet)
    with pytest.raises(InputError, match=rf"metrics\.json: {message}"):
        read_comet(tmp_path / "metrics.json")
