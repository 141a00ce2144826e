"""params.yaml into dataclasses: every message that a user can meet, and what is read where all is well."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded import outcome as bounded_outcome
from bounded import sparse
from mt.errors import InputError
from mt.params import MAX_BYTES, SECTIONS, Key, keys, load, read_tree


@dataclass(frozen=True)
class Inner:
    depth: int

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, not {self.depth}")


@dataclass(frozen=True)
class Score:
    """A section with a field of every kind."""

    size: int
    rate: float
    name: str
    whole: bool
    kind: Literal["greedy", "beam"]
    tag: str | None
    parts: tuple[int, ...]
    inner: Inner
    inners: tuple[Inner, ...]


@dataclass(frozen=True)
class Params:
    score: Score


@dataclass(frozen=True)
class Prompted:
    preset: str
    template: Annotated[str, Key("prompt.template")]


@dataclass(frozen=True)
class Tuned:
    lora: Inner


GOOD = {
    "size": "64",
    "rate": "0.5",
    "name": "mini",
    "whole": "true",
    "kind": "beam",
    "tag": "null",
    "parts": "[1, 2]",
    "inner": "{depth: 3}",
    "inners": "[{depth: 1}, {depth: 2}]",
}


def yaml(sections: Mapping[str, str]) -> str:
    """A parameter file in which the sections not named are null."""
    return "".join(f"{section}: {sections.get(section, 'null')}\n" for section in SECTIONS)


def score(**changed: str | None) -> str:
    """A parameter file whose section `score` is `GOOD` with some values changed; None takes the key out."""
    pairs = {**GOOD, **changed}
    return yaml({"score": "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items() if value) + "}"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def message(cls: type, file: Path, text: str | bytes, at: Mapping[str, str] | None = None) -> str:
    """The error that `load` raises, which is one line, without the file's folder."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        load(cls, file, at or {})
    found = str(raised.value)
    assert "\n" not in found
    assert found.startswith(str(file))
    return found.removeprefix(f"{file.parent}/")


def test_reads_every_kind_of_value(file: Path) -> None:
    file.write_text(score(), encoding="utf-8")
    assert load(Params, file, {}).score == Score(
        size=64,
        rate=0.5,
        name="mini",
        whole=True,
        kind="beam",
        tag=None,
        parts=(1, 2),
        inner=Inner(3),
        inners=(Inner(1), Inner(2)),
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("5e-05", 5e-05, id="as -S writes 0.00005"),
        pytest.param("5E5", 5e5, id="capital E"),
        pytest.param("0.00005", 5e-05, id="decimal"),
        pytest.param("-1.5", -1.5, id="negative"),
        pytest.param("2", 2.0, id="whole"),
    ],
)
def test_numbers_of_yaml_1_2(file: Path, written: str, read: float) -> None:
    file.write_text(score(rate=written), encoding="utf-8")
    found = load(Params, file, {}).score.rate
    assert found == read
    assert isinstance(found, float)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"size": "1.5"}, "size: must be a whole number, not 1.5", id="int: fraction"),
        pytest.param({"size": "64.0"}, "size: must be a whole number, not 64.0", id="int: float"),
        pytest.param({"size": "true"}, "size: must be a whole number, not True", id="int: boolean"),
        pytest.param({"size": "'64'"}, "size: must be a whole number, not the text '64'", id="int: text"),
        pytest.param({"size": "null"}, "size: must be a whole number, not None", id="int: null"),
        pytest.param(
            {"size": str(2**63)},
            f"size: must be at most {2**63 - 1}, not a number of 64 bits",
            id="int: more than 63 bits",
        ),
        pytest.param(
            {"whole": "[0x" + "f" * 5000 + "]"},
            "whole: must be true or false, not [a number of 20000 bits]",
            id="boolean: more digits than Python writes",
        ),
        pytest.param(
            {"name": '"a\\0"'},
            "name: must be text without NUL or half a surrogate pair, not the text 'a\\x00'",
            id="text: NUL",
        ),
        pytest.param(
            {"tag": '"\\udfff"'},
            "tag: must be text without NUL or half a surrogate pair, not the text '\\udfff'",
            id="text: half a surrogate pair",
        ),
        pytest.param({"size": "[1]"}, "size: must be a whole number, not [1]", id="int: list"),
        pytest.param(
            {"rate": "'5e-05'"}, "rate: must be a number, such as 0.00005, not the text '5e-05'", id="float: text 5e-05"
        ),
        pytest.param({"rate": "true"}, "rate: must be a number, such as 0.00005, not True", id="float: boolean"),
        pytest.param({"rate": "null"}, "rate: must be a number, such as 0.00005, not None", id="float: null"),
        pytest.param({"rate": ".nan"}, "rate: must be a number, such as 0.00005, not nan", id="float: not a number"),
        pytest.param({"rate": ".inf"}, "rate: must be a number, such as 0.00005, not inf", id="float: infinite"),
        pytest.param({"name": "7"}, "name: must be text, not 7", id="text: number"),
        pytest.param({"name": "null"}, "name: must be text, not None", id="text: null"),
        pytest.param({"whole": "1"}, "whole: must be true or false, not 1", id="boolean: number"),
        pytest.param({"whole": "yes"}, "whole: must be true or false, not the text 'yes'", id="boolean: yes"),
        pytest.param({"kind": "best"}, "kind: 'best' is not one of greedy, beam", id="choice: unknown"),
        pytest.param({"kind": "true"}, "kind: True is not one of greedy, beam", id="choice: boolean"),
        pytest.param({"kind": "[beam]"}, "kind: ['beam'] is not one of greedy, beam", id="choice: list"),
        pytest.param({"tag": "7"}, "tag: must be text, not 7", id="optional: wrong kind"),
        pytest.param({"parts": "7"}, "parts: must be a list, not 7", id="list: number"),
        pytest.param({"parts": "'12'"}, "parts: must be a list, not the text '12'", id="list: text"),
        pytest.param({"parts": "[1, x]"}, "parts[1]: must be a whole number, not the text 'x'", id="list: an item"),
        pytest.param({"inner": "[3]"}, "inner: must be a mapping, not [3]", id="mapping: list"),
        pytest.param({"inner": "null"}, "inner: must be a mapping, not None", id="mapping: null"),
        pytest.param({"inner": "{depth: x}"}, "inner.depth: must be a whole number, not the text 'x'", id="nested"),
        pytest.param(
            {"inners": "[{depth: 1}, {depth: x}]"},
            "inners[1].depth: must be a whole number, not the text 'x'",
            id="nested in a list",
        ),
        pytest.param({"inner": "{depth: 0}"}, "inner: depth must be at least 1, not 0", id="refused by the dataclass"),
        pytest.param({"inners": "[{depth: 0}]"}, "inners[0]: depth must be at least 1, not 0", id="refused in a list"),
    ],
)
def test_refuses_a_value(file: Path, changed: dict[str, str], expected: str) -> None:
    assert message(Params, file, score(**changed)) == f"params.yaml: score.{expected}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2001-02-03", "datetime.date(2001, 2, 3)"),
        ("!!set {a}", "{'a'}"),
        ("!!binary aGk=", "b'hi'"),
        ("!!timestamp 2001-02-03 04:05:06", "datetime.datetime(2001, 2, 3, 4, 5, 6)"),
    ],
)
def test_refuses_what_dvc_yaml_has_no_place_for_wherever_it_stands(file: Path, written: str, shown: str) -> None:
    wanted = "must be text, a number, true, false or null; put text in quotes"
    for text, key in ((score(name=written), "score.name"), (f"merge: [{{a: {written}}}]\n", "merge[0].a")):
        assert message(Params, file, text).startswith(f"params.yaml: {key}: {wanted}, not {shown}")


def test_refuses_a_number_beyond_floats(file: Path) -> None:
    assert message(Params, file, score(rate="1" + "0" * 400)).startswith(
        "params.yaml: score.rate: must be a number, such as 0.00005, not a number of 1329 bits"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            score(siez="64", size=None),
            "unknown key score.siez; did you mean score.size?",
            id="unknown, with a like one",
        ),
        pytest.param(
            score(xyzzy="64"),
            "unknown key score.xyzzy; known here: size, rate, name, whole, kind, tag, parts, inner, inners",
            id="unknown, like nothing",
        ),
        pytest.param(
            score(size=None),
            "missing key score.size; copy it from the preset that you began with",
            id="missing",
        ),
        pytest.param(
            score(inner="{}"),
            "missing key score.inner.depth; copy it from the preset that you began with",
            id="missing, nested",
        ),
        pytest.param(
            score(inners="[{depth: 1}, {deep: 1}]"),
            "unknown key score.inners[1].deep; did you mean score.inners[1].depth?",
            id="unknown, in a list",
        ),
        pytest.param(score() + "scores: {}\n", "unknown key scores; did you mean score?", id="unknown section"),
        pytest.param(
            score() + "7: {}\n", f"unknown key 7; known here: {', '.join(SECTIONS)}", id="unknown section, a number"
        ),
        pytest.param(
            score().replace("merge: null\n", ""),
            "missing key merge; copy it from the preset that you began with",
            id="missing section, of another stage",
        ),
        pytest.param("", "holds no keys; `make preset NAME=embedded` writes a whole one", id="empty"),
        pytest.param("[a, b]\n", "holds no keys; `make preset NAME=embedded` writes a whole one", id="a list"),
    ],
)
def test_refuses_keys(file: Path, text: str, expected: str) -> None:
    assert message(Params, file, text) == f"params.yaml: {expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("preset: a\nlora: [1, 2\nmerge: b\n", "params.yaml:3: not YAML (", id="open bracket"),
        pytest.param("preset: a\n\tlora: b\n", "params.yaml:2: not YAML (", id="tab"),
        pytest.param("preset: a\nlora: b\npreset: c\n", "params.yaml:3: not YAML (found duplicate key", id="key twice"),
        pytest.param("score: {size: 1, size: 2}\n", "params.yaml:1: not YAML (found duplicate key", id="nested twice"),
        pytest.param("preset: !!python/object:os.system a\n", "params.yaml:1: not YAML (", id="a tag that runs code"),
        pytest.param("preset: a\n---\npreset: b\n", "params.yaml:2: not YAML (", id="two documents"),
        pytest.param("preset: 2001-99-99\n", "params.yaml: not YAML (", id="no such date"),
        pytest.param("preset: !!int x\n", "params.yaml: not YAML (", id="tag that does not fit"),
        pytest.param("preset: !!float\n", "params.yaml: not YAML (", id="tag without a value"),
        pytest.param("preset: !!bool x\n", "params.yaml: not YAML (", id="no such boolean"),
        pytest.param("preset: " + "[" * 1000, "params.yaml: not YAML (", id="nested without end"),
        pytest.param("%YAML 1.17\n---\npreset: a\n", "params.yaml: not YAML (", id="a version that there is not"),
        pytest.param("preset: a\x00b\n", "params.yaml: not YAML (", id="control character"),
        pytest.param("preset: é\n".encode("latin-1"), "params.yaml: byte 9 is not UTF-8; save the file", id="Latin-1"),
    ],
)
def test_refuses_what_is_not_yaml(file: Path, text: str | bytes, expected: str) -> None:
    assert message(Params, file, text).startswith(expected)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghijklm")
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(BOMB, ":1: not YAML (names for values", id="aliases that grow"),
        pytest.param(
            "a: &a {x: 1}\n" + "".join(f"{b}: &{b} {{<<: [*{a}, *{a}]}}\n" for a, b in pairwise("abcdefghijklm")),
            ":1: not YAML (names for values",
            id="merges that grow",
        ),
        pytest.param("a: &a [*a]\n", ":1: not YAML (names for values", id="a list that holds itself"),
        pytest.param("[" * 100_000, ": not YAML (cannot be read)", id="100,000 brackets"),
        pytest.param("a: {" * 60_000, ": not YAML (cannot be read)", id="60,000 mappings"),
        pytest.param("a: 0x" + "f" * 200_000, ": unknown key a", id="a number of 800,000 bits"),
        pytest.param("preset: 0x" + "f" * 200_000, ": missing key jobs", id="such a number as a value"),
        pytest.param("? [a, b]\n: 1\n", ": unknown key ('a', 'b')", id="a list as a key"),
        pytest.param('"a\\nb": 1\n', ": unknown key 'a\\nb'", id="a line break in a key"),
        pytest.param('"\\ud800": 1\n', ": unknown key '\\ud800'", id="half a surrogate pair in a key"),
        pytest.param("? " + "a" * 3000 + "\n: 1\n", ": unknown key 'aaa", id="a long key"),
    ],
)
def test_hostile_yaml_takes_no_memory(file: Path, text: str, expected: str) -> None:
    file.write_text(text, encoding="utf-8")
    call = "load(Params, path, {})"
    found = bounded_outcome(
        "from mt.params import load\nfrom prepare import Params", call, file, megabytes=128, seconds=120
    )
    assert found.startswith(f"{file}{expected}")
    assert len(found) < 1000
    assert "\n" not in found


def test_no_more_of_a_file_is_read_than_parameters_take(file: Path) -> None:
    sparse(file, 1 << 40)
    found = bounded_outcome("from mt.params import read_tree", "read_tree(path)", file, megabytes=16)
    assert found.startswith(f"{file}: has more than {MAX_BYTES} bytes; ")


def test_a_folder_is_no_parameter_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r": cannot be read \(Is a directory\); name the parameter file"):
        load(Params, tmp_path, {})


def test_names_the_file_that_is_missing(file: Path) -> None:
    with pytest.raises(InputError, match="not found; `make preset NAME=embedded` writes one"):
        load(Params, file, {})


def test_reads_a_key_in_a_section(file: Path) -> None:
    file.write_text(yaml({"preset": "smoke", "prompt": "{template: T, shots: 4}"}), encoding="utf-8")
    assert load(Prompted, file, {}) == Prompted("smoke", "T")


def test_reads_another_section_where_told(file: Path) -> None:
    file.write_text(yaml({"lora": "{depth: 1}", "reverse": "{lora: {depth: 2}}"}), encoding="utf-8")
    assert load(Tuned, file, {}).lora == Inner(1)
    assert load(Tuned, file, {"lora": "reverse.lora"}).lora == Inner(2)


@pytest.mark.parametrize(
    ("cls", "sections", "at", "expected"),
    [
        pytest.param(
            Prompted,
            {"preset": "a", "prompt": "{shots: 4}"},
            {},
            "missing key prompt.template; known here: shots",
            id="not in the section",
        ),
        pytest.param(
            Prompted, {"preset": "a"}, {}, "missing key prompt.template; known here: nothing", id="section is null"
        ),
        pytest.param(
            Prompted,
            {"preset": "a", "prompt": "{1: x}"},
            {},
            "unknown key prompt.1; known here: template, shots",
            id="keys that are numbers",
        ),
        pytest.param(
            Tuned,
            {"lora": "{depth: 1}", "systems": "{fr: {}}"},
            {},
            "unknown key systems.fr; known here: baseline, bt, ft, ft_bt",
            id="a part that this stage does not read",
        ),
        pytest.param(
            Tuned,
            {"reverse": "{lora: {depth: 0}}"},
            {"lora": "reverse.lora"},
            "reverse.lora: depth must be at least 1, not 0",
            id="refused under the key, not the field",
        ),
        pytest.param(
            Tuned,
            {"lora": "{depth: 1}"},
            {"lora": "systems.ft"},
            "missing key systems.ft; known here: nothing",
            id="a system that is not there",
        ),
    ],
)
def test_names_the_key_and_not_the_field(
    file: Path, cls: type, sections: dict[str, str], at: dict[str, str], expected: str
) -> None:
    assert message(cls, file, yaml(sections), at) == f"params.yaml: {expected}"


@pytest.mark.parametrize(
    ("cls", "at", "expected"),
    [
        pytest.param(Params, {}, {"score": "score"}, id="own name"),
        pytest.param(Prompted, {}, {"preset": "preset", "template": "prompt.template"}, id="named by Key"),
        pytest.param(Tuned, {"lora": "reverse.lora"}, {"lora": "reverse.lora"}, id="named by at"),
        pytest.param(Prompted, {"template": "a.b"}, {"preset": "preset", "template": "a.b"}, id="at goes before Key"),
    ],
)
def test_keys(cls: type, at: dict[str, str], expected: dict[str, str]) -> None:
    assert keys(cls, at) == expected


def test_keys_refuse_a_field_that_is_not_there() -> None:
    with pytest.raises(InputError, match="--at rank: not a parameter of this stage; it reads preset, template"):
        keys(Prompted, {"rank": "lora.rank"})


def test_refuses_a_dataclass_with_a_type_that_yaml_has_not(file: Path) -> None:
    @dataclass(frozen=True)
    class Wrong:
        preset: bytes

    file.write_text(yaml({"preset": "a"}), encoding="utf-8")
    with pytest.raises(TypeError, match="preset: parameters cannot have the type"):
        load(Wrong, file, {})


def outcome(file: Path) -> dict[str, Any] | str:
    """What is read, or the error."""
    try:
        return read_tree(file)
    except InputError as error:
        return str(error)


@given(text=st.text(max_size=40) | st.text("a: -{}[]'\"|>&*!%#\n\t,?1", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    found = outcome(file)
    assert isinstance(found, dict) or "\n" not in found
