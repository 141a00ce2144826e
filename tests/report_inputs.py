"""Everything that the stage `report` reads, as the stages before it write it, small enough to be seen through."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mt.prompt import Languages
from mt.setup import Setup, Systems
from mt.systems import System

EMBEDDED = Setup(
    preset="embedded",
    languages=Languages("en", "ja"),
    systems=Systems(System(False, False), System(False, True), System(True, False), System(True, True)),
    model="gemma-3-270m",
    repo=None,
    vocabulary="trimmed",
    corpus="tatoeba",
    shots=4,
    reverse="lora",
    reverse_shots=4,
    reverse_model="none",
)
SYSTEMS = ("baseline", "bt", "ft", "ft_bt")
METRICS = ("bleu", "chrf", "comet_mini")
VALUES = {
    "baseline": {"bleu": 1.204, "chrf": 13.391, "comet_mini": 0.41237},
    "bt": {"bleu": 0.9, "chrf": 12.004, "comet_mini": 0.41236},
    "ft": {"bleu": 2.5, "chrf": 16.6, "comet_mini": 0.5213},
    "ft_bt": {"bleu": 2.6, "chrf": 16.72, "comet_mini": 0.5312},
}
WIDTHS = {"bleu": 0.4, "chrf": 0.7, "comet_mini": 0.02}
P = {("baseline", "ft"): 0.000999, ("baseline", "ft_bt"): 0.000999, ("baseline", "bt"): 0.012, ("ft", "ft_bt"): 0.41}
DEGENERATE = (
    {"empty": 0, "repetition": 0, "copy": 0, "wrong_language": 0, "cut": 0, "degenerate": 0},
    {"empty": 2, "repetition": 1, "copy": 3, "wrong_language": 4, "cut": 5, "degenerate": 1234},
)
"""Hypotheses of any other system, and of bt."""

SENTENCES = [
    ("Tom is a student.", "トムは学生です。", "トムは学生だ。"),
    ("It was raining when I got up.", "起きたとき、雨が降っていた。", "私は起きたときに雨が降った。"),
    ("I have lived in Kyoto for 10 years.", "私は京都に10年間住んでいます。", "私は京都で10年生活した。"),
    ("Don't speak ill of others behind their backs.", "陰で人の悪口を言うな。", "他人の悪口は話さないで。"),
]


def write_inputs(folder: Path, segments: dict[str, int]) -> None:
    """Write data/ under `folder`, with so many segments for each test set."""
    data = folder / "data"
    for testset, count in segments.items():
        dump(data / "scores" / f"{testset}.json", scores(testset, count))
        for system in SYSTEMS:
            rows = [hypothesis(testset, i, system) for i in range(count)]
            path = data / "hyps" / system / f"{testset}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    for system in ("reverse", "bt", "ft", "ft_bt"):
        dump(data / "training" / system / "epochs.json", epochs(system))
        dump(data / "training" / system / "log.json", LOG)
    dump(data / "comet" / "metrics.json", COMET)
    dump(data / "prepared" / "counts.json", COUNTS)
    dump(data / "synthetic" / "noise.json", NOISE)
    dump(data / "synthetic" / "filter.json", FILTER)
    dump(data / "leakage" / "metrics.json", leakage(segments))


def dump(path: Path, content: Any) -> None:
    """Write JSON as the stages do, with sorted keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True), encoding="utf-8")


def scores(testset: str, count: int) -> dict[str, Any]:
    """data/scores/<testset>.json: ft is better than the baseline, bt worse, ft_bt as good as ft."""
    systems: dict[str, Any] = {}
    for system in SYSTEMS:
        systems[system] = {"model": f"{system}-0a1b2c", **DEGENERATE[system == "bt"], "ja": 0.98765}
        for metric in METRICS:
            value, width = VALUES[system][metric], WIDTHS[metric]
            systems[system][metric] = {"value": value, "low": value - width, "high": value + 1.1 * width}
    paired = [
        {"a": a, "b": b, "metric": metric, "difference": VALUES[a][metric] - VALUES[b][metric], "p": P.get((a, b), 0.2)}
        for i, a in enumerate(SYSTEMS)
        for b in SYSTEMS[i + 1 :]
        for metric in METRICS
    ]
    return {
        "testset": testset,
        "segments": count,
        "bootstrap": {"samples": 500, "confidence": 0.9, "seed": 12345},
        "signatures": {
            "bleu": "nrefs:1|case:mixed|eff:no|tok:ja-mecab-0.996-IPA|smooth:exp|version:2.6.0",
            "chrf": "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
            "comet_mini": "nrefs:1|checkpoint:mini|revision:0123456789ab|unbabel-comet:2.2.7",
        },
        "systems": systems,
        "paired": paired,
        "segment_scores": {
            system: {"chrf": [10.0 + i for i in range(count)], "comet_mini": [0.5 + i / 1000 for i in range(count)]}
            for system in SYSTEMS
        },
    }


def hypothesis(testset: str, i: int, system: str) -> dict[str, str | bool]:
    """A line of data/hyps; bt leaves a quarter empty, the baseline writes marks and HTML."""
    src, ref, hyp = SENTENCES[i % len(SENTENCES)]
    made = {"baseline": f"{hyp[:4]}|<b>*{i}*</b>", "bt": "" if i % 4 == 3 else f"トム、{hyp}", "ft": hyp, "ft_bt": ref}
    told: dict[str, str | bool] = {"hyp": made[system], "cut": False, "model": f"{system}-0a1b2c"}
    return {"id": f"{testset}:{i:03}", "src": src, "tgt": ref, **told}


def leakage(testsets: Iterable[str]) -> dict[str, Any]:
    """data/leakage/metrics.json: nothing leaks."""
    held = {name: {"leaks": 0} for name in testsets}
    return {
        file: {"segments": size, "leaks": 0, "share": 0.0, "testsets": held}
        for file, size in (("data/prepared/train.jsonl", 400), ("data/train/bt.jsonl", 1100))
    }


def epochs(system: str) -> list[dict[str, Any]]:
    """data/training/<system>/epochs.json; bt stops early, reverse has no COMET."""
    rows = []
    for epoch in range(1, 3 if system == "bt" else 4):
        row: dict[str, Any] = {"epoch": epoch, "loss": 3.1 - 0.3 * epoch, "chrf": 12.0 + epoch, "best": epoch == 2}
        if system == "reverse":
            row |= {"loss": 2.2 - 0.1 * epoch, "chrf": 31.0 + epoch}
        else:
            row["comet_mini"] = 0.45 + 0.02 * min(epoch, 2) + len(system) / 200
        rows.append(row)
    return rows


LOG: dict[str, Any] = {
    "steps": 50,
    "planned_steps": 75,
    "notes": ["the warm-up of 500 steps never ends: the training has 75 steps"],
    "segments": {"read": 400, "kept": 399, "dropped": {"more than max_tokens tokens": 1}, "rejected": []},
}
COMET: dict[str, Any] = {
    "pairs": 1000,
    "held_out": 200,
    "examples": 9876,
    "ranking_accuracy": 0.9712,
    "ranking_pairs": 7654,
    "accuracy_by_kind": {"reference": 0.99, "drop": 0.95, "salad": 0.98},
    "score_by_kind": {"reference": 0.97, "drop": 0.55, "salad": 0.05},
    "pearson": 0.9512,
    "spearman": 0.9434,
}
PUBLISHED = {
    "checkpoint": "wmt22-comet-da",
    "repo": "Unbabel/wmt22-comet-da",
    "revision": "2760a223ac957f30acfb18c8aa649b01cf1d75f2",
}
NOTHING_TRAINED: dict[str, Any] = {**LOG, "steps": 0, "planned_steps": 0, "notes": ["nothing is trained: epochs is 0"]}
QUANTILES = {"low": 8.0, "median": 24.0, "high": 71.0}
SPLIT = {"segments": 400, "src_chars": QUANTILES, "tgt_chars": QUANTILES, "length_ratio": QUANTILES}
COUNTS: dict[str, Any] = {
    "parallel": {
        "read": 203308,
        "kept": 190000,
        "reasons": ["empty", "chars", "near_test"],
        "dropped": {"chars": 10000, "empty": 8, "near_test": 3300},
        "rejected": [],
    },
    "splits": {"train": SPLIT, "dev": {**SPLIT, "segments": 48}, "mono": {"segments": 700}},
}
OTHER_MONO: dict[str, Any] = {
    "parallel": {
        "read": 9072,
        "kept": 8000,
        "reasons": ["empty", "over_limit", "malformed", "same_document", "not_needed"],
        "dropped": {"empty": 0, "malformed": 12, "not_needed": 0, "over_limit": 60, "same_document": 1000},
        "rejected": [],
    },
    "mono": {
        "read": 50000,
        "kept": 5000,
        "reasons": ["empty", "over_limit", "malformed", "same_document", "not_needed"],
        "dropped": {"empty": 4, "malformed": 0, "not_needed": 44996, "over_limit": 0, "same_document": 0},
        "rejected": [],
    },
    "splits": {
        "train": {**SPLIT, "segments": 1500},
        "dev": {**SPLIT, "segments": 200},
        "mono": {"segments": 5000, "tgt_chars": QUANTILES},
        "tests/wmt24": {**SPLIT, "segments": 998},
    },
}
"""What preparation counts where the monolingual text has a source of its own."""

NOISE: dict[str, Any] = {
    "segments": 700,
    "empty": 0.01,
    "features": {
        name: {"mean": 0.5, "p05": 0.1, "p50": 0.55, "p95": 0.9} for name in ("length_ratio", "similarity", "copy")
    },
    "oracle": {
        "segments": 690,
        "corpus_chrf": 28.4,
        "chrf": 27.25,
        "similarity": 0.871234,
        "signatures": ["nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"],
    },
}
UNKNOWN: dict[str, Any] = {"segments": 0, "chrf": None, "similarity": None}
NOISE_UNKNOWN: dict[str, Any] = {**NOISE, "oracle": {**UNKNOWN, "corpus_chrf": None, "signatures": []}}
"""What score measures where no true source is known."""

FILTER: dict[str, Any] = {
    "read": 700,
    "kept": 512,
    "reasons": [
        "near_test",
        "min_src_chars",
        "max_echo",
        "max_copy",
        "min_src_language",
        "max_repetition",
        "min_similarity",
    ],
    "dropped": {
        "max_copy": 12,
        "max_echo": 0,
        "max_repetition": 31,
        "min_similarity": 98,
        "min_src_chars": 7,
        "min_src_language": 38,
        "near_test": 2,
    },
    "alone": {
        "max_copy": 12,
        "max_echo": 0,
        "max_repetition": 35,
        "min_similarity": 150,
        "min_src_chars": 7,
        "min_src_language": 52,
        "near_test": 2,
    },
    "oracle": {
        "kept": {"segments": 505, "chrf": 31.5, "similarity": 0.9},
        "dropped": {"segments": 185, "chrf": 15.25, "similarity": None},
    },
    "rejected": [
        {"reason": "near_test", "id": "t:0", "src": "It rained.", "tgt": "雨だ。", "near": "kyoto:1*"},
        {"reason": "min_src_chars", "id": "t:1", "src": "", "tgt": "はい。", "value": 0, "threshold": 1},
        {"reason": "max_copy", "id": "t:2", "src": "トム|Tom", "tgt": "トムだ。", "value": 0.75, "threshold": 0.5},
    ],
}
FILTER_UNKNOWN: dict[str, Any] = {**FILTER, "oracle": {"kept": UNKNOWN, "dropped": UNKNOWN}}
"""What filter counts there."""
