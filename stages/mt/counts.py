"""What prepare, score and filter counted, read and checked for the report."""

from pathlib import Path
from typing import Any

from mt.errors import InputError
from mt.files import read_json, shaped
from mt.values import Maybe

TALLY = {"read": int, "kept": int, "reasons": [str], "dropped": {str: int}}
QUANTILES = {"low": float, "median": float, "high": float}
MEASURES = {"src_chars": 0, "tgt_chars": 0, "length_ratio": 3}
"""What is known of a split's segments, and its decimals."""
SPLIT = {"segments": int, **dict.fromkeys(MEASURES, Maybe(QUANTILES))}
PREPARED = {"parallel": TALLY, "mono": Maybe(TALLY), "splits": {"train": SPLIT, str: SPLIT}}

ORACLE = {"segments": int, "chrf": (float, None), "similarity": (float, None)}
SPREAD = dict.fromkeys(("mean", "p05", "p50", "p95"), float)
NOISE = {
    "segments": int,
    "empty": float,
    "features": {str: SPREAD},
    "oracle": {**ORACLE, "corpus_chrf": (float, None)},
}
KNOWN = dict.fromkeys(("chrf", "similarity", "corpus_chrf"), float)

REJECTED = {"reason": str, "src": str, "tgt": str, "near": Maybe(str)}
FILTER = {**TALLY, "alone": {str: int}, "oracle": {"kept": ORACLE, "dropped": ORACLE}, "rejected": [REJECTED]}
MAX_REASONS = 100
DECIDED = {"value": float, "threshold": float}
"""What stands beside a rejected segment that is near to none of a test set."""


def read_prepared(path: Path) -> dict[str, Any]:
    """Read what preparation counted of each corpus and split.

    Raises:
        InputError: it is missing, or lacks what the report shows.
    """
    tree: dict[str, Any] = shaped(read_json(path), PREPARED, path)
    for name in ("parallel", "mono"):
        if name in tree:
            shaped(tree, {name: {"dropped": dict.fromkeys(tree[name]["reasons"], int)}}, path)
    return tree


def read_noise(path: Path) -> dict[str, Any]:
    """Read how noisy the backtranslation is; its distance to the true source is there where one is known.

    Raises:
        InputError: it is missing, or lacks what the report shows.
    """
    tree: dict[str, Any] = shaped(read_json(path), NOISE, path)
    if tree["oracle"]["segments"]:
        shaped(tree, {"oracle": KNOWN}, path)
    return tree


def read_filter(path: Path) -> dict[str, Any]:
    """Read what the filter took away.

    Raises:
        InputError: it is missing, or lacks what the report shows.
    """
    tree: dict[str, Any] = shaped(read_json(path), FILTER, path)
    if len(tree["reasons"]) > MAX_REASONS:
        raise InputError(f"{path}: names more than {MAX_REASONS} reasons; run `dvc repro filter`")
    counted = dict.fromkeys(tree["reasons"], int)
    shaped(tree, {"dropped": counted, "alone": counted}, path)
    for number, segment in enumerate(tree["rejected"]):
        if segment["reason"] not in counted:
            raise InputError(f"{path}: rejected[{number}].reason: is none of reasons; run `dvc repro filter`")
        if "near" not in segment:
            shaped({f"rejected[{number}]": segment}, {f"rejected[{number}]": DECIDED}, path)
    return tree
