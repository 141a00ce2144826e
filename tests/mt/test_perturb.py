"""mt.perturb: each kind does what it says, by as much as it says."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.perturb import GRADED, Material, Perturbed, perturbations, tokens

REF = list("私今日東京猫見。")
MATERIAL = Material(
    src=["I", " saw", " cats", " there", "."], ref=REF, other=list("あいうえお"), neighbour=list("かきく")
)
COUNTS = pytest.mark.parametrize("count", [1, 3, 7])


def spoilt(kind: str, count: int, seed: int = 1) -> list[str]:
    return GRADED[kind](MATERIAL, count, Random(seed))


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(token in rest for token in part)


@COUNTS
def test_drop(count):
    assert len(spoilt("drop", count)) == len(REF) - count
    assert is_subsequence(spoilt("drop", count), REF)


@COUNTS
def test_swap(count):
    result = spoilt("swap", count)
    assert Counter(result) == Counter(REF)
    assert sum(one != two for one, two in zip(result, REF, strict=True)) == max(2, count)


@COUNTS
@pytest.mark.parametrize("seed", range(5))
def test_repeat(count, seed):
    result = spoilt("repeat", count, seed)
    assert len(result) == len(REF) + count
    assert set(result) == set(REF)
    assert is_subsequence(REF, result)


@COUNTS
def test_substitute(count):
    result = spoilt("substitute", count)
    assert sum(one != two for one, two in zip(result, REF, strict=True)) == count
    assert set(result) - set(REF) <= set(MATERIAL.other)


@COUNTS
def test_insert(count):
    result = spoilt("insert", count)
    assert [token for token in result if token in REF] == REF
    assert len(result) == len(REF) + count


@COUNTS
def test_truncate(count):
    assert spoilt("truncate", count) == REF[:-count]


@pytest.mark.parametrize(("count", "expected"), [(1, "私今日東京猫見お"), (3, "私今日東京うえお"), (7, "私あいうえお")])
def test_graft(count, expected):
    assert "".join(spoilt("graft", count)) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "私今日東京猫見."), (3, "私今日東京 there."), (7, "私 saw cats there.")]
)
def test_untranslated(count, expected):
    assert "".join(spoilt("untranslated", count)) == expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("猫が好き。", ["猫", "が", "好き", "。"], ["猫", "が", "好き", "。"]),
        ("I saw New York.", ["I", "saw", "New", "York"], ["I", " saw", " New", " York."]),
        ("「a a」", ["a", "a"], ["「a", " a」"]),
        ("…", [], ["…"]),
    ],
    ids=["japanese", "spaces stay in front", "same word twice", "no word"],
)
def test_tokens(text, words, expected):
    assert tokens(text, words) == expected


def test_tokens_of_another_text():
    with pytest.raises(ValueError, match="substring not found"):
        tokens("猫が好き。", ["犬"])


def test_every_kind_has_its_level():
    found = perturbations(MATERIAL, 5, Random(2))
    levels = {one.kind: one.level for one in found}
    assert set(levels) == {"untouched", "punctuation", *GRADED, "neighbour", "other", "copy", "salad", "loop", "empty"}
    assert {levels[kind] for kind in GRADED} <= {1, 2, 3}
    assert [levels[kind] for kind in ("untouched", "punctuation", "neighbour")] == [0, 0, 3]
    assert {levels[kind] for kind in ("other", "copy", "salad", "loop", "empty")} == {4}


def test_fixed_kinds():
    found = {one.kind: one.text for one in perturbations(MATERIAL, 5, Random(2))}
    assert found["untouched"] == "私今日東京猫見。"
    assert found["punctuation"] == "私今日東京猫見"
    assert (found["neighbour"], found["other"], found["empty"]) == ("かきく", "あいうえお", "")
    assert found["copy"] == "I saw cats there."
    assert sorted(found["salad"]) == list("あいうえお")
    assert len(set(found["loop"])) == 1


def test_the_share_spoilt_grows_with_the_level():
    lengths: dict[int, set[int]] = {}
    for seed in range(30):
        for one in perturbations(MATERIAL, 5, Random(seed)):
            if one.kind == "truncate":
                lengths.setdefault(one.level, set()).add(len(one.text))
    assert lengths == {1: {6}, 2: {4}, 3: {2}}


words = st.lists(st.sampled_from(["猫", "犬", "。", " a", "b"]), min_size=1, max_size=8)


@given(words, words, words, words, st.integers(3, 7), st.integers(0, 9))
def test_texts_are_distinct_and_repeatable(src, ref, other, neighbour, levels, seed):
    material = Material(src, ref, other, neighbour)
    found = perturbations(material, levels, Random(seed))
    assert found == perturbations(material, levels, Random(seed))
    assert len({one.text for one in found}) == len(found)
    assert found[0] == Perturbed("untouched", 0, "".join(ref).strip())
    assert all(0 <= one.level < levels for one in found)
    assert any(one.level == levels - 1 for one in found)
