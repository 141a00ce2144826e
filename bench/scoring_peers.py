"""Scoring with this project, and with the libraries' own methods, on the same texts in the same batches.

COMET scores four systems on one test set: `predict` takes one system after the other, as its documentation shows it.
The encoder reads what the stage `score` reads; sentence-transformers takes part where it is installed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Annotated

from mt.comet import Comet, quiet
from mt.encoder import Encoder, Reading
from mt.params import Key, load
from mt.results import SYSTEMS
from mt.segments import read_segments


@dataclass(frozen=True)
class Params:
    """What of params.yaml texts are scored with."""

    comet_batch: Annotated[int, Key("evaluate.batch_size")]
    encoder_batch: Annotated[int, Key("score.batch_size")]
    prefix: Annotated[str, Key("score.prefix")]
    precision: Annotated[Reading, Key("score.precision")]


@dataclass(frozen=True)
class Work:
    """One kind of scoring, for all contenders; `texts` is how many texts it is asked for."""

    what: str
    texts: int
    contenders: Mapping[str, Callable[[], object]]


def works(root: Path, segments: int) -> Iterator[Work]:
    """COMET, then the encoder."""
    params = load(Params, root / "params.yaml", {})
    yield comet(root, segments, params.comet_batch)
    yield encoder(root, segments, params)


def comet(root: Path, segments: int, batch_size: int) -> Work:
    """All systems on the test set tatoeba."""
    systems = {name: read_segments(root / f"data/hyps/{name}/tatoeba.jsonl", ())[:segments] for name in SYSTEMS}
    metric = Comet(root / "models/comet")

    def ours() -> list[float]:
        rows = list(chain.from_iterable(systems.values()))
        srcs, hyps, refs = ([row[key] for row in rows] for key in ("src", "hyp", "tgt"))
        return metric.score(srcs, hyps, refs, batch_size)

    def predict() -> None:
        with quiet():
            for rows in systems.values():
                triples = [{"src": row["src"], "mt": row["hyp"], "ref": row["tgt"]} for row in rows]
                metric._model.predict(triples, batch_size=batch_size, gpus=0, num_workers=0)

    return Work("COMET, four systems", sum(map(len, systems.values())), {"ours": ours, "predict": predict})


def encoder(root: Path, segments: int, params: Params) -> Work:
    """Both sides of the synthetic pairs."""
    rows = read_segments(root / "data/synthetic/scored.jsonl", ("src", "tgt"))[:segments]
    texts = list(chain.from_iterable((row["src"], row["tgt"]) for row in rows))
    own = Encoder(root / "models/encoder", params.prefix, params.precision)
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: own.embed(texts, params.encoder_batch)}
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        theirs = SentenceTransformer(str(root / "models/encoder"), prompts={"query": params.prefix}, device="cpu")
        contenders["encode"] = lambda: theirs.encode(
            texts, prompt_name="query", batch_size=params.encoder_batch, normalize_embeddings=True
        )
    return Work("sentence encoder", len(texts), contenders)
