"""presets/paper.yaml: what the paper states has the paper's value, and everything else is marked as ours."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline import ROOT

TEXT = (ROOT / "presets" / "paper.yaml").read_text(encoding="utf-8")
OURS = re.compile(r"\S.* #.*\bours\b")
"""A key with such a comment: what it says of the paper holds for its line and for what stands under it."""

STATED = {
    "languages.src": "en",
    "languages.tgt": "ja",
    "systems.baseline.genuine": False,
    "systems.baseline.synthetic": False,
    "systems.bt.genuine": False,
    "systems.bt.synthetic": True,
    "systems.ft.genuine": True,
    "systems.ft.synthetic": False,
    "systems.ft_bt.genuine": True,
    "systems.ft_bt.synthetic": True,
    "corpora.parallel.source": "wikicorpus",
    "models.source.name": "Mistral-7B-v0.3",
    "prepare.train": 1500,
    "finetune.direction": "forward",
    "finetune.epochs": 8,
    "finetune.select_by": "comet",
    "finetune.learning_rate": 2e-5,
    "finetune.schedule": "cosine",
    "finetune.warmup_steps": 500,
    "finetune.weight_decay": 0.01,
    "finetune.batch_size": 128,
    "finetune.precision": "float16",
    "translate.decode.strategy": "beam",
    "translate.decode.beams": 3,
    "translate.decode.max_new_tokens": 256,
}
"""What arXiv 2511.12109 states, by key; of epochs it says 5 to 8."""

NAME = "preset"
"""The one key that is no choice: the file's own name."""


def leaves(node: Any, key: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Each value's key, the value, and the lines of its ancestors and its own; a list of scalars is one value."""
    if isinstance(node, CommentedMap):
        for name, inner in node.items():
            yield from leaves(inner, f"{key}.{name}".removeprefix("."), (*above, node.lc.key(name)[0]))
    elif isinstance(node, list) and any(isinstance(item, dict) for item in node):
        for number, item in enumerate(node):
            yield from leaves(item, f"{key}.{number}", above)
    else:
        yield key, node, above


def marked(text: str) -> set[int]:
    """The lines that say `ours`."""
    return {number for number, line in enumerate(text.split("\n")) if OURS.match(line.strip())}


def unmarked(text: str) -> set[str]:
    """The keys whose value is not ours."""
    ours = marked(text)
    return {key for key, _, lines in leaves(YAML().load(text), "", ()) if not ours & set(lines)}


def without(text: str, number: int) -> str:
    """The text with one line's comment gone."""
    lines = text.split("\n")
    lines[number] = lines[number].partition(" #")[0]
    return "\n".join(lines)


def test_what_the_paper_states_has_its_value_and_is_not_called_ours() -> None:
    found = {key: (value, lines[-1]) for key, value, lines in leaves(YAML().load(TEXT), "", ())}
    assert {key: found[key][0] for key in STATED} == STATED
    assert [key for key in STATED if found[key][1] in marked(TEXT)] == []


def test_everything_else_is_marked() -> None:
    assert sorted(unmarked(TEXT) - set(STATED) - {NAME}) == []


@pytest.mark.parametrize("number", [pytest.param(n, id=TEXT.split("\n")[n][:40]) for n in sorted(marked(TEXT))])
def test_each_mark_is_needed(number: int) -> None:
    assert unmarked(without(TEXT, number)) - set(STATED) - {NAME}
