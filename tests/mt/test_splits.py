"""Hash order, one use of each text, and drawing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.near import Index
from mt.segments import Segment
from mt.splits import add, apart, backwards, draw, elsewhere, ordered, unique
from mt.tally import Tally
from mt.text import key


def pair(id_: str, src: str, tgt: str) -> Segment:
    return {"id": id_, "src": src, "tgt": tgt}


def ids(segments: list[Segment]) -> list[str]:
    return [segment["id"] for segment in segments]


def strict() -> Index:
    return Index(ngram=3, jaccard=0.4, contained=0.7, contained_ngrams=8)


IDS = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=12)


def test_order_is_that_of_sha256() -> None:
    # sha256sum gives 1:dev:0 to 1:dev:4 the first digits ac32, 818d, 5f31, 6605 and 63be.
    assert ids(ordered([{"id": str(n)} for n in range(5)], 1, "dev")) == ["2", "4", "3", "1", "0"]


@given(IDS, st.integers(0, 3), st.randoms())
def test_order_does_not_depend_on_the_order_of_the_input(names: list[str], seed: int, chance: random.Random) -> None:
    segments = [{"id": name} for name in names]
    shuffled = segments[:]
    chance.shuffle(shuffled)
    assert ordered(shuffled, seed, "dev") == ordered(segments, seed, "dev")


@given(IDS.filter(bool), st.integers(0, 3))
def test_one_segment_less_moves_no_other(names: list[str], seed: int) -> None:
    segments = [{"id": name} for name in names]
    whole = ordered(segments, seed, "dev")
    assert ordered(segments[1:], seed, "dev") == [s for s in whole if s != segments[0]]


def of(doc: str, *names: str) -> list[Segment]:
    return [{"id": name, "doc": doc, "tgt": f"{doc}{name}"} for name in names]


def test_a_document_is_ordered_by_its_name_and_keeps_its_own_order() -> None:
    # sha256sum gives 1:dev:0 to 1:dev:4 the first digits ac32, 818d, 5f31, 6605 and 63be.
    mixed = [*of("0", "y", "x"), {"id": "1"}, *of("2", "z"), {"id": "3"}, *of("2", "a"), {"id": "4"}]
    whole = ordered(mixed, 1, "dev")
    assert ids(whole) == ["z", "a", "4", "3", "1", "y", "x"]
    assert ids(backwards(whole)) == ["y", "x", "1", "3", "4", "z", "a"]


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=2), st.none() | st.text("cd", min_size=1, max_size=1))))
def test_backwards_twice_is_forwards(named: list[tuple[str, str | None]]) -> None:
    segments = [{"id": f"{name}{i}", **({"doc": doc} if doc else {})} for i, (name, doc) in enumerate(named)]
    whole = ordered(segments, 1, "dev")
    assert backwards(backwards(whole)) == whole
    alone = [segment for segment in whole if "doc" not in segment]
    assert backwards(alone) == alone[::-1]


def test_elsewhere_drops_what_is_of_a_drawn_document() -> None:
    tally = Tally(9)
    rest = [*of("a", "1"), *of("b", "2"), {"id": "3"}]
    assert ids(elsewhere(rest, [*of("a", "0"), {"id": "b"}], tally)) == ["2", "3"]
    assert [(r["id"], r["reason"]) for r in tally.report()["rejected"]] == [("1", "same_document")]


def test_seed_and_name_give_other_orders() -> None:
    segments = [{"id": str(n)} for n in range(20)]
    orders = [ids(ordered(segments, seed, name)) for seed in (1, 2) for name in ("dev", "comet")]
    assert all(one != other for i, one in enumerate(orders) for other in orders[:i])


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        pytest.param(pair("c", "A CAT", "「猫」です!"), "same_pair", id="both sides of one"),
        pytest.param(pair("c", "a cat!", "ねこ"), "same_src", id="its source"),
        pytest.param(pair("c", "a kitty", "猫 です"), "same_tgt", id="its target"),
        pytest.param(pair("c", "a cat", "犬です"), "same_src", id="the sides of two"),
        pytest.param(pair("c", "猫です", "a cat"), None, id="sides exchanged"),
        pytest.param({"id": "c", "tgt": "犬です？"}, "same_tgt", id="monolingual"),
    ],
)
def test_unique_keeps_the_first(segment: Segment, reason: str | None) -> None:
    first = [pair("a", "A cat.", "猫です。"), pair("b", "A dog.", "犬です。")]
    tally = Tally(1)
    assert ids(unique([*first, segment], tally)) == (["a", "b"] if reason else ["a", "b", "c"])
    assert tally.dropped == ({reason: 1} if reason else {})


def test_what_is_dropped_keeps_no_other_out() -> None:
    chain = [pair("a", "a cat", "猫"), pair("b", "a cat", "犬"), pair("c", "a dog", "犬")]
    assert ids(unique(chain, Tally(0))) == ["a", "c"]


@given(st.lists(st.tuples(st.text("aA. ", max_size=3), st.text("猫犬。", max_size=3)), max_size=12))
def test_unique_invents_nothing_and_leaves_no_two_alike(texts: list[tuple[str, str]]) -> None:
    segments = [pair(str(i), src, tgt) for i, (src, tgt) in enumerate(texts)]
    tally = Tally(0)
    kept = unique(segments, tally)
    assert kept == [segment for segment in segments if segment in kept]
    for side in ("src", "tgt"):
        keys = [key(segment[side]) for segment in kept]
        assert len(set(keys)) == len(keys)
    assert len(kept) + sum(tally.dropped.values()) == len(segments)
    for lost in (segment for segment in segments if segment not in kept):
        assert any(key(lost[side]) == key(k[side]) for side in ("src", "tgt") for k in kept)


def test_apart_names_what_a_segment_is_near_to() -> None:
    index = strict()
    add(pair("test:1", "The old man went to the station.", "老人は駅まで歩いて行った。"), index)
    segments = [
        pair("a", "The old man went to the station!", "ぜんぜん違う文です。"),
        pair("b", "Something else entirely.", "老人は、駅まで歩いて行った"),
        pair("c", "Nothing is alike here.", "これは似ていない文です。"),
        {"id": "d", "tgt": "老人は駅まで歩いて行ったのだ。"},
    ]
    tally = Tally(5)
    assert ids(apart(segments, index, "near_test", tally)) == ["c"]
    assert [(r["id"], r["near"], r["reason"]) for r in tally.report()["rejected"]] == [
        (name, "test:1", "near_test") for name in ("a", "b", "d")
    ]


def test_draw_passes_over_what_is_near_and_keeps_the_rest_in_order() -> None:
    segments = [
        pair("a", "The old man went to the station.", "老人は駅へ行った。"),
        pair("b", "The old man went to the stations.", "別の文。"),
        pair("c", "Rain fell all night long.", "一晩中雨が降った。"),
        pair("d", "Completely different words.", "まったく違う。"),
    ]
    taken, tally = strict(), Tally(0)
    drawn, rest = draw(segments, 2, "prepare.dev", taken, tally)
    assert (ids(drawn), ids(rest), tally.dropped) == (["a", "c"], ["d"], {"near_duplicate": 1})
    assert taken.find("一晩中、雨が降った") == "c"
    assert taken.find("まったく違う。") is None


def test_draw_leaves_nothing_of_a_document_that_it_began() -> None:
    segments = [*of("甲乙丙丁", "1", "2"), *of("戊己庚辛", "3", "4", "5"), *of("壬癸子丑", "6")]
    for position, segment in enumerate(segments):
        segment["tgt"] = "天地玄黄宇宙洪荒日月盈昃辰宿列張寒來暑往"[position * 3 : position * 3 + 3]
    tally = Tally(0)
    drawn, rest = draw(segments, 3, "prepare.dev", strict(), tally)
    assert (ids(drawn), ids(rest), tally.dropped) == (["1", "2", "3"], ["6"], {"same_document": 2})
    whole = Tally(0)
    assert ids(draw(segments, 2, "prepare.dev", strict(), whole)[1]) == ["3", "4", "5", "6"]
    assert whole.dropped == {}


def test_draw_says_how_many_there_are() -> None:
    segments = [pair("a", "One sentence.", "一つの文。"), pair("b", "One sentence!", "一つの、文。")]
    message = (
        r"prepare\.dev: 2 segments are wanted, but of the 2 that are left only 1 are no near duplicates; write 1 or"
    )
    with pytest.raises(InputError, match=message):
        draw(segments, 2, "prepare.dev", strict(), Tally(0))


@given(st.lists(st.text("abcd", min_size=1, max_size=6), max_size=12), st.integers(1, 4))
def test_a_larger_draw_begins_with_the_smaller(texts: list[str], wanted: int) -> None:
    segments: list[Segment] = [{"id": str(i), "tgt": text} for i, text in enumerate(texts)]

    def drawn(number: int) -> list[Segment]:
        try:
            return draw(segments, number, "prepare.dev", strict(), Tally(0))[0]
        except InputError:
            return []

    larger = drawn(wanted + 1)
    assert not larger or drawn(wanted) == larger[:wanted]
