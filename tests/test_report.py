"""The report as a whole: what it writes, that its bytes are the same twice, and what it says of bad input."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import report
from mt.errors import InputError
from mt.page import page
from mt.params import load
from mt.prompt import Languages
from report_inputs import (
    EMBEDDED,
    FILTER_UNKNOWN,
    NOISE_UNKNOWN,
    NOTHING_TRAINED,
    OTHER_MONO,
    PUBLISHED,
    SYSTEMS,
    dump,
    scores,
    write_inputs,
)

SEGMENTS = {"tatoeba": 12, "kyoto": 6}
PARAMS = report.Params(**vars(EMBEDDED), testsets=("tatoeba", "kyoto"), report=report.Report(samples=5, seed=1))
PRESETS = Path(__file__).parents[1] / "presets"


def paths(folder: Path) -> report.Paths:
    data, metrics = folder / "data", folder / "metrics"
    return report.Paths(
        scores=data / "scores",
        hyps=data / "hyps",
        training=data / "training",
        comet=data / "comet" / "metrics.json",
        prepared=data / "prepared" / "counts.json",
        noise=data / "synthetic" / "noise.json",
        filter=data / "synthetic" / "filter.json",
        leakage=data / "leakage" / "metrics.json",
        summary=metrics / "summary.json",
        page=metrics / "report.md",
        html=metrics / "report.html",
        plots=metrics / "plots",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> report.Paths:
    """One report, for the tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    write_inputs(folder, SEGMENTS)
    dump(folder / "data" / "scores" / "old.json", {"testset": "old"})
    report.run(paths(folder), PARAMS)
    return paths(folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_summary_has_the_systems_metrics_and_nothing_else(made: report.Paths) -> None:
    summary = json.loads(made.summary.read_text(encoding="utf-8"))
    assert list(summary) == ["kyoto", "tatoeba"]
    assert sorted(summary["tatoeba"]) == sorted(SYSTEMS)
    counts = {"empty": 2, "repetition": 1, "copy": 3, "wrong_language": 4, "cut": 5, "degenerate": 1234}
    assert summary["tatoeba"]["bt"] == {"bleu": 0.9, "chrf": 12.0, "comet_mini": 0.4124, **counts, "ja": 0.9877}
    assert all(isinstance(summary["kyoto"]["ft"][kind], int) for kind in counts)
    assert "|" not in made.summary.read_text(encoding="utf-8")


def test_every_figure_is_on_the_page_and_in_the_html(made: report.Paths) -> None:
    markdown, html = (path.read_text(encoding="utf-8") for path in (made.page, made.html))
    figures = sorted(path.name for path in made.plots.glob("*.png"))
    assert figures == [
        "filter.png",
        *(f"scores_{metric}.png" for metric in ("bleu", "chrf", "comet_mini")),
        *(f"training_{metric}.png" for metric in ("chrf", "comet_mini", "loss")),
    ]
    assert all(f"](plots/{name})" in markdown for name in figures)
    assert html.count('src="data:image/png;base64,') == len(figures)


def test_dvc_plots_data_is_flat(made: report.Paths) -> None:
    rows = json.loads((made.plots / "scores.json").read_text(encoding="utf-8"))
    assert [row["label"] for row in rows[:2]] == ["tatoeba baseline", "tatoeba bt"]
    assert {"bleu", "bleu_low", "bleu_high"} <= set(rows[0])
    losses = json.loads((made.plots / "training_loss.json").read_text(encoding="utf-8"))
    assert [sorted(row) for row in losses] == [
        ["bt", "epoch", "ft", "ft_bt", "reverse"],
        ["bt", "epoch", "ft", "ft_bt", "reverse"],
        ["epoch", "ft", "ft_bt", "reverse"],
    ]


def test_a_second_run_elsewhere_writes_the_same_bytes(
    made: report.Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    write_inputs(tmp_path, SEGMENTS)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "yellow")
    report.run(paths(tmp_path), PARAMS)
    assert digests(tmp_path / "metrics") == digests(made.summary.parent)


def test_a_run_over_an_old_report_leaves_nothing_of_it(tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    stale = tmp_path / "metrics" / "plots" / "scores_comet_old.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    report.run(paths(tmp_path), PARAMS)
    assert not stale.exists()
    assert not list((tmp_path / "metrics").glob(".*"))


def test_html_is_the_markdowns_text(made: report.Paths) -> None:
    html = made.html.read_text(encoding="utf-8")
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<span lang="ja">' in html
    assert "<b>" not in html
    assert "<script" not in html
    assert "http" not in html.partition("</style>")[2]
    plain = MarkdownIt("commonmark", {"html": False}).enable("table").render(made.page.read_text(encoding="utf-8"))
    assert html.count("<tr>") == plain.count("<tr>") > 100
    headings = re.findall("<th [^>]*>", html)
    assert len(headings) > 100
    assert all('scope="' in heading for heading in headings)


def test_the_stand_in_is_called_one_wherever_it_is_named(made: report.Paths) -> None:
    lines = [line for line in made.page.read_text(encoding="utf-8").split("\n") if "COMET-mini" in line]
    assert lines
    assert all(line.count("COMET-mini") == line.count("COMET-mini (stand-in)") for line in lines)


def test_samples_are_shown_with_every_system(made: report.Paths) -> None:
    samples = section(made.page.read_text(encoding="utf-8"), "Sample translations")
    assert samples.count("\n### ") == 5
    assert samples.count("\n### tatoeba:") == 3
    assert samples.count("| `ft_bt` |") == 5


def text(folder: Path, params: report.Params) -> str:
    """The page, without its figures, which take seconds."""
    return page(report.measure(paths(folder), params), "plots")


def section(markdown: str, heading: str) -> str:
    """What stands under a heading."""
    return markdown.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_paper_is_marked_as_not_comparable(made: report.Paths) -> None:
    paper = section(made.page.read_text(encoding="utf-8"), "Beside the paper")
    assert "**The figures are not comparable.**" in paper
    assert "| paper: COMET | 0.460 | 0.468 | 0.589 | 0.597 |" in paper


@pytest.mark.parametrize(
    "missing",
    [
        "data/scores/kyoto.json",
        "data/hyps/ft/kyoto.jsonl",
        "data/training/reverse/epochs.json",
        "data/training/ft/log.json",
        "data/comet/metrics.json",
        "data/prepared/counts.json",
        "data/synthetic/noise.json",
        "data/synthetic/filter.json",
        "data/leakage/metrics.json",
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(tmp_path: Path, missing: str) -> None:
    write_inputs(tmp_path, SEGMENTS)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=Path(missing).name):
        report.run(paths(tmp_path), PARAMS)
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize("change", [{"samples": 2, "confidence": 0.9}, {"samples": 500, "confidence": 0.95}])
def test_test_sets_that_were_not_scored_alike_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    write_inputs(tmp_path, SEGMENTS)
    dump(tmp_path / "data" / "scores" / "kyoto.json", scores("kyoto", SEGMENTS["kyoto"]) | {"bootstrap": change})
    with pytest.raises(InputError, match=r"kyoto\.json: not scored as tatoeba is"):
        report.run(paths(tmp_path), PARAMS)


def test_test_sets_with_unlike_metrics_are_refused(tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    path = tmp_path / "data" / "scores" / "kyoto.json"
    path.write_text(path.read_text(encoding="utf-8").replace("comet_mini", "comet_maxi"), encoding="utf-8")
    with pytest.raises(InputError, match=r"kyoto\.json: not scored as tatoeba is"):
        report.run(paths(tmp_path), PARAMS)


def publish(folder: Path, name: str) -> None:
    """Make the checkpoint of the inputs a published one of another name."""
    for path in [*(folder / "data" / "scores").iterdir(), *(folder / "data" / "training").glob("*/epochs.json")]:
        path.write_text(path.read_text(encoding="utf-8").replace("comet_mini", f"comet_{name}"), encoding="utf-8")
    dump(folder / "data" / "comet" / "metrics.json", {**PUBLISHED, "checkpoint": name})


@pytest.mark.parametrize("name", ["wmt22-comet-da", "mini"])
def test_a_published_checkpoint_is_no_stand_in_whatever_its_name(name: str, tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    publish(tmp_path, name)
    markdown = text(tmp_path, PARAMS)
    assert f"| COMET {name} |" in markdown
    assert "stand-in" not in markdown


def test_a_checkpoint_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    dump(tmp_path / "data" / "comet" / "metrics.json", {})
    with pytest.raises(InputError, match=r"metrics\.json: checkpoint: missing"):
        report.run(paths(tmp_path), PARAMS)


def of_the_paper(folder: Path) -> report.Params:
    """Inputs as the paper's preset leaves them, and its parameters."""
    params = load(report.Params, PRESETS / "paper.yaml", {})
    write_inputs(folder, dict.fromkeys(params.testsets, 12))
    publish(folder, "wmt22-comet-da")
    dump(folder / "data" / "prepared" / "counts.json", OTHER_MONO)
    dump(folder / "data" / "synthetic" / "noise.json", NOISE_UNKNOWN)
    dump(folder / "data" / "synthetic" / "filter.json", FILTER_UNKNOWN)
    return params


def test_the_papers_own_preset(tmp_path: Path) -> None:
    report.run(paths(tmp_path), of_the_paper(tmp_path))
    markdown = paths(tmp_path).page.read_text(encoding="utf-8")
    paper = section(markdown, "Beside the paper")
    assert "- Model: the same, `mistralai/Mistral-7B-v0.3`." in paper
    assert "- Training pairs: 1,500 of the same corpus, though perhaps not the same ones." in paper
    assert "**The COMET figures are not comparable" in paper
    assert "The true source is known for none of them" in section(markdown, "Backtranslation and its filter")
    assert "| read |  | 50,000 |" in section(markdown, "Corpora")
    assert (tmp_path / "metrics" / "plots" / "scores_comet_wmt22-comet-da.png").is_file()
    for wrong in ("stand-in", "None", "nan", "set-aside", "tatoeba", "gemma"):
        assert wrong not in markdown


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"reverse": "prompted"}, "The base model, prompted with examples from the training set, translated 700 mono"),
        ({"reverse": "seq2seq", "reverse_model": "opus-mt-ja-en"}, "The model `opus-mt-ja-en` translated 700 mono"),
    ],
)
def test_a_reverse_model_that_is_not_trained(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    dump(tmp_path / "data" / "training" / "reverse" / "epochs.json", [])
    dump(tmp_path / "data" / "training" / "reverse" / "log.json", NOTHING_TRAINED)
    params = replace(PARAMS, **change)
    report.write_plots(tmp_path / "plots", report.measure(paths(tmp_path), params))
    training = section(text(tmp_path, params), "Training")
    assert "\n- `reverse`: nothing is trained: epochs is 0.\n" in training
    assert "`reverse` translates the other way" not in training
    assert what in section(text(tmp_path, params), "Backtranslation and its filter")
    losses = json.loads((tmp_path / "plots" / "training_loss.json").read_text(encoding="utf-8"))
    assert sorted(losses[0]) == ["bt", "epoch", "ft", "ft_bt"]


def test_a_reverse_adapter_that_is_trained_and_not_used(tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    training = section(text(tmp_path, replace(PARAMS, reverse="prompted")), "Training")
    assert "; its adapter is not used, since the parameter `reverse.model` is `prompted`." in training


def test_another_pair_of_languages(tmp_path: Path) -> None:
    write_inputs(tmp_path, SEGMENTS)
    for path in (tmp_path / "data" / "scores").iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace('"ja": 0', '"en": 0'), encoding="utf-8")
    report.run(paths(tmp_path), replace(PARAMS, languages=Languages("de", "en")))
    markdown, html = (path.read_text(encoding="utf-8") for path in (paths(tmp_path).page, paths(tmp_path).html))
    for wrong in ("Beside the paper", "2511.12109", "Japan"):
        assert wrong not in markdown
    assert "| COMET-mini (stand-in) | `en` |" in markdown
    assert 'lang="ja"' not in html


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_gets_a_report(preset: Path, tmp_path: Path) -> None:
    params = load(report.Params, preset, {})
    write_inputs(tmp_path, dict.fromkeys(params.testsets, 8))
    markdown = text(tmp_path, params)
    assert f"Preset {preset.stem}; test sets: {', '.join(params.testsets)}." in markdown
    assert all(f"\n## Scores on {name}\n" in markdown for name in params.testsets)


def test_params_say_what_to_write() -> None:
    with pytest.raises(ValueError, match="write 0 to show none"):
        report.Report(samples=-1, seed=1)
    with pytest.raises(ValueError, match="at least one"):
        replace(PARAMS, testsets=())
