"""Figures: what is drawn is what was measured, and the files say nothing but that."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from mt.page_data import waterfall
from mt.plots import STYLE, curve, draw, scores_figure, training_figure, training_rows, waterfall_figure
from mt.results import TestsetResult, Training, read_testset, read_training
from mt.wording import labels
from report_inputs import FILTER, LOG, METRICS, dump, epochs, scores

NAMES = labels(METRICS, built=True)
TRAINED = ("reverse", "bt", "ft", "ft_bt")


@pytest.fixture
def testsets(tmp_path: Path) -> list[TestsetResult]:
    for name in ("tatoeba", "kyoto"):
        dump(tmp_path / f"{name}.json", scores(name, 3))
    return [read_testset(tmp_path / f"{name}.json") for name in ("tatoeba", "kyoto")]


@pytest.fixture
def trainings(tmp_path: Path) -> list[Training]:
    for system in TRAINED:
        dump(tmp_path / system / "epochs.json", epochs(system))
        dump(tmp_path / system / "log.json", LOG)
    return [read_training(tmp_path / system, system) for system in TRAINED]


def chunks(path: Path) -> list[bytes]:
    """The types of a PNG's chunks."""
    data, at, found = path.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append(data[at + 4 : at + 8])
        at += 12 + length
    return found


def test_files_hold_no_time_and_no_software(
    testsets: list[TestsetResult], trainings: list[Training], tmp_path: Path
) -> None:
    folder = tmp_path / "plots"
    folder.mkdir()
    draw(folder, testsets, trainings, waterfall(FILTER), NAMES)
    assert len(list(folder.iterdir())) == 7
    for path in folder.iterdir():
        assert set(chunks(path)) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_a_panel_for_each_test_set_with_each_systems_score(testsets: list[TestsetResult]) -> None:
    axes = scores_figure(testsets, "comet_mini", "COMET-mini").axes
    assert [axis.get_title(loc="left") or axis.get_title() for axis in axes] == [
        "tatoeba, 3 segments",
        "kyoto, 3 segments",
    ]
    assert [text.get_text() for text in axes[0].texts] == ["0.4124", "0.4124", "0.5213", "0.5312"]
    assert axes[-1].get_xlabel() == "COMET-mini"


def test_a_long_name_is_not_cut(testsets: list[TestsetResult]) -> None:
    import matplotlib
    from matplotlib import style

    with matplotlib.rc_context(), style.context(["default", STYLE]):
        figure = scores_figure([replace(testsets[0], name="Wmt24_" * 16, segments=12345)], "bleu", "BLEU")
        figure.draw_without_rendering()
        title = figure.axes[0].get_title(loc="left")
        box = figure.axes[0]._left_title.get_window_extent()  # type: ignore[attr-defined]
    assert title.replace("\n", "") == "Wmt24_" * 16 + ", 12,345 segments"
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


def test_the_reverse_model_has_a_panel_of_its_own(trainings: list[Training]) -> None:
    names = [[line.get_label() for line in axis.lines] for axis in training_figure(trainings, "chrf", "chrF").axes]
    shown = [[name for name in panel if not re.match("_", str(name))] for panel in names]
    assert shown == [["bt", "ft", "ft_bt"], ["reverse"]]
    assert len(training_figure(trainings, "comet_mini", "COMET").axes) == 1


def test_a_reverse_model_without_training_has_no_panel(trainings: list[Training]) -> None:
    trainings[0].epochs.clear()
    for metric in ("loss", "chrf"):
        (axis,) = training_figure(trainings, metric, metric).axes
        assert [line.get_label() for line in axis.lines if not str(line.get_label()).startswith("_")] == list(
            TRAINED[1:]
        )
        assert all("reverse" not in row for row in training_rows(trainings, metric))


def test_curves_and_their_rows(trainings: list[Training]) -> None:
    assert curve(trainings[0], "comet_mini") == []
    assert curve(trainings[1], "chrf") == [(1, 13.0), (2, 14.0)]
    assert training_rows(trainings, "chrf")[2] == {"epoch": 3, "reverse": 34.0, "ft": 15.0, "ft_bt": 15.0}


def test_the_waterfall_falls_from_read_to_kept() -> None:
    steps = waterfall(FILTER)
    bars = waterfall_figure(steps).axes[0].patches
    ends = [(round(bar.get_x()), round(bar.get_x() + bar.get_width())) for bar in bars]  # type: ignore[attr-defined]
    assert ends == [
        (0, 700),
        (698, 700),
        (691, 698),
        (691, 691),
        (679, 691),
        (641, 679),
        (610, 641),
        (512, 610),
        (0, 512),
    ]


def test_a_reason_is_text_and_no_formula(
    testsets: list[TestsetResult], trainings: list[Training], tmp_path: Path
) -> None:
    draw(tmp_path, testsets, trainings, [("read", 5), (r"$\frac$", -1), ("kept", 4)], NAMES)
