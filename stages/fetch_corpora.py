"""Get the parallel, monolingual and test corpora, each from its source.

In:
    --local    the folder of the user's own corpora: files, or folders of them
    downloads, in the user's cache folder; sacreBLEU's and the Hub's in theirs
Out, in the folder --out (where a source names the document of a segment, also "doc"):
    parallel.jsonl       {"id", "src", "tgt"}
    mono.jsonl           {"id", "tgt"}; absent where the source is `parallel`
    tests/<name>.jsonl   {"id", "src", "tgt"}; absent where the source is `parallel`
    counts.json          "parallel", "mono" and "tests" {name: …}: what was read, kept and dropped by reason

Text is passed on as it stands in its source; the stage `prepare` normalises and cleans it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mt.archives import user_cache
from mt.cli import main
from mt.corpora import PARALLEL, Corpus, NamedCorpus, read_corpus
from mt.files import replacing, write_json
from mt.params import check_testsets
from mt.prompt import Languages
from mt.reader import Request, WikiCorpus
from mt.segments import write_segments
from mt.tally import Tally

PAIR = ("src", "tgt")


@dataclass(frozen=True)
class Paths:
    local: Path
    out: Path


@dataclass(frozen=True)
class Corpora:
    """`rejected_sample`: how many dropped segments of each reason counts.json shows."""

    rejected_sample: int
    parallel: Corpus
    mono: Corpus
    tests: tuple[NamedCorpus, ...]
    wikicorpus: WikiCorpus

    def __post_init__(self) -> None:
        if self.parallel.source == PARALLEL:
            raise ValueError("parallel.source: the parallel corpus cannot be cut out of itself; name another source")
        if self.rejected_sample < 0:
            raise ValueError(f"rejected_sample is {self.rejected_sample}; write 0 or more")


@dataclass(frozen=True)
class Params:
    languages: Languages
    corpora: Corpora
    testsets: tuple[str, ...]

    def __post_init__(self) -> None:
        check_testsets(self.testsets)
        names = [test.name for test in self.corpora.tests]
        if len(set(names)) < len(names):
            raise ValueError(f"corpora.tests: a name stands twice in {names}; give each test set its own")
        if names != list(self.testsets):
            raise ValueError(
                f"corpora.tests names {names} but testsets {list(self.testsets)}; write the same, in one order"
            )


def fetch(
    corpus: Corpus, texts: tuple[str, ...], complete: bool, paths: Paths, out: Path, params: Params
) -> dict[str, Any]:
    """Write one corpus to `out`, and give its counts; nothing is written where it comes out of the parallel one."""
    tally = Tally(params.corpora.rejected_sample)
    if corpus.source != PARALLEL:
        request = Request(
            corpus, texts, complete, paths.local, user_cache(), params.languages, params.corpora.wikicorpus
        )
        write_segments(out, read_corpus(request, tally))
    return {"source": corpus.source, **tally.report()}


def run(paths: Paths, params: Params) -> None:
    """Fetch every corpus into one folder, which appears when all are there."""
    corpora = params.corpora
    with replacing(paths.out) as folder:
        counts = {
            "parallel": fetch(corpora.parallel, PAIR, False, paths, folder / "parallel.jsonl", params),
            "mono": fetch(corpora.mono, PAIR[1:], False, paths, folder / "mono.jsonl", params),
            "tests": {
                test.name: fetch(test, PAIR, True, paths, folder / "tests" / f"{test.name}.jsonl", params)
                for test in corpora.tests
            },
        }
        write_json(folder / "counts.json", counts)


if __name__ == "__main__":
    main(run, Paths, Params)
