"""mt.stand_in: what a built COMET checkpoint learns from; tests/test_comet_model.py builds one."""

import tiny_comet
from mt import stand_in
from mt.prompt import Languages

LANGUAGES = Languages("en", "ja")


def test_held_out_references_teach_nothing(tmp_path):
    learnt, held_out = stand_in.split(tiny_comet.PAIRS, 12, tmp_path)
    assert learnt + held_out == tiny_comet.PAIRS
    found = stand_in.perturbed(learnt, [1, *[0] * 47], LANGUAGES, 4, 1)
    assert not {pair["tgt"] for pair in held_out} & {one.text for _, one in found}
    assert {pair["tgt"] for pair in learnt} <= {one.text for _, one in found}


def test_each_segment_is_perturbed_by_its_id_and_the_seed():
    pairs = tiny_comet.PAIRS[:10]
    nearest = [9, *range(9)]
    first = stand_in.perturbed(pairs, nearest, LANGUAGES, 4, 1)
    assert first == stand_in.perturbed(pairs, nearest, LANGUAGES, 4, 1)
    assert first != stand_in.perturbed(pairs, nearest, LANGUAGES, 4, 2)
    by_kind = {(segment["id"], one.kind): one.text for segment, one in first}
    assert by_kind[pairs[3]["id"], "neighbour"] == pairs[2]["tgt"]
    others = {id_: text for (id_, kind), text in by_kind.items() if kind == "other"}
    assert len(others) > 5
    for pair in pairs:
        assert others.get(pair["id"]) in {None, *(one["tgt"] for one in pairs if one != pair)}


def test_examples_aim_from_1_to_0():
    found = stand_in.perturbed(tiny_comet.PAIRS[:10], [9, *range(9)], LANGUAGES, 5, 1)
    aims = {one.level: example.score for (_, one), example in zip(found, stand_in.examples(found, 5), strict=True)}
    assert aims == {0: 1, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0}


def test_moved_words_do_not_run_together():
    pairs = [
        {"id": str(i), "src": f"Der {noun}, schläft heute {i} Mal.", "tgt": f"The {noun}, sleeps {i} times today."}
        for i, noun in enumerate(("Hund", "Wolf", "Bär", "Igel", "Dachs", "Otter"))
    ]
    known = {word.rstrip(",.") for pair in pairs for side in ("src", "tgt") for word in pair[side].split()}
    found = [
        one for seed in range(20) for one in stand_in.perturbed(pairs, [1, *[0] * 5], Languages("de", "en"), 4, seed)
    ]
    assert {"swap", "salad", "loop", "insert"} <= {one.kind for _, one in found}
    assert {word.strip(",.") for _, one in found for word in one.text.split()} <= known | {""}
