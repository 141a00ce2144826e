"""The base model: the source model with the vocabulary that the corpora need, or whole.

In: models/source, a causal language model in Hugging Face form with provenance.json; data/prepared/train.jsonl and
pool.jsonl, {"id", "src", "tgt"}, and mono.jsonl, {"id", "tgt"}. Test and development text is not looked at.
Out: models/base, in the same form; its provenance.json has the name, license and revision of the source, the digests of
the files here, and "vocabulary": {"kind": "trimmed" or "full", "before": …, "after": …}, both counted in rows; and
"padding", the token that was named to pad with, where the tokenizer had none of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mt.cli import main
from mt.errors import InputError
from mt.files import digests, read_object, replacing, write_json
from mt.links import link_tree
from mt.loading import PROVENANCE, read_provenance
from mt.padding import give_padding
from mt.params import Key
from mt.prompt import FORWARD, REVERSE, Languages, Prompter, check_template
from mt.segments import read_segments
from mt.vocabulary import Sizes, trim


@dataclass(frozen=True)
class Paths:
    """What the stage reads and writes."""

    source: Path
    train: Path
    mono: Path
    pool: Path
    out: Path


@dataclass(frozen=True)
class Base:
    """`trimmed` keeps the rows that the corpora use, `full` keeps all."""

    vocabulary: Literal["trimmed", "full"]


@dataclass(frozen=True)
class Params:
    """The keys of params.yaml that the stage reads; the template says how texts are read."""

    languages: Languages
    template: Annotated[str, Key("prompt.template")]
    base: Base

    def __post_init__(self) -> None:
        check_template(self.template)


def corpus(paths: Paths, params: Params) -> Iterator[str]:
    """Yield what the model will read of the genuine pairs and the monolingual text; mono and pool may be empty.

    The prompt is part of it: a word has a token for itself and another one for itself after a space.
    """
    forward, reverse = (Prompter(params.template, params.languages, way, []) for way in (FORWARD, REVERSE))
    train = read_segments(paths.train, ("src", "tgt"))
    for segment in train + read_segments(paths.pool, ("src", "tgt"), allow_empty=True):
        yield forward.prompt(segment) + forward.continuation(segment)
        yield reverse.prompt(segment) + reverse.continuation(segment)
    for segment in read_segments(paths.mono, ("tgt",), allow_empty=True):
        yield reverse.prompt(segment)
        yield forward.continuation(segment)


def copy_whole(source: Path, out: Path, rows: int) -> Sizes:
    """Take the model as it is, in as many files."""
    link_tree(source, out)
    (out / PROVENANCE).unlink()
    return Sizes(rows, rows)


def embedding_rows(source: Path) -> int:
    """How many rows the model's embedding has.

    Raises:
        InputError: it is no language model that continues a text.
    """
    config = read_object(source / "config.json")
    rows = config.get("vocab_size")
    if config.get("is_encoder_decoder") or not isinstance(rows, int):
        raise InputError(
            f"{source}: {config.get('model_type')} is no causal language model; name one in models.source, such as "
            "mistralai/Mistral-7B-v0.3 (a sequence-to-sequence model goes into models.reverse)"
        )
    return rows


def provenance(source: dict[str, Any], kind: str, sizes: Sizes, out: Path) -> dict[str, Any]:
    """What is told of the base model: see the module's docstring."""
    return {
        "name": source["name"],
        "license": source["license"],
        "revision": source["revision"],
        "files": digests(out),
        "vocabulary": {"kind": kind, "before": sizes.before, "after": sizes.after},
    }


def run(paths: Paths, params: Params) -> None:
    """Write the base model, whole or not at all."""
    origin = read_provenance(paths.source, ("name", "license", "revision"), ())
    rows = embedding_rows(paths.source)
    with replacing(paths.out) as partial:
        if params.base.vocabulary == "full":
            sizes = copy_whole(paths.source, partial, rows)
        else:
            sizes = trim(paths.source, partial, corpus(paths, params))
        padding = give_padding(partial, origin["name"])
        told = provenance(origin, params.base.vocabulary, sizes, partial)
        write_json(partial / PROVENANCE, told | ({"padding": padding} if padding else {}))


if __name__ == "__main__":
    main(run, Paths, Params)
