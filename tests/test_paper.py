"""The paper preset, stage by stage: its own sources and loaders, on a hub's cache, a corpus and test sets made here.

Changed are sizes, what pins the models, the place of the monolingual text, the precision, since a CPU has no float16
training, and thresholds of the filter, since random weights write no English.
"""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import sacrebleu
from peft import PeftModel
from transformers import AutoModelForCausalLM

import tiny_hub
from clone import Clone, cloned, preset
from launch import FLOAT32
from mt.degenerate import COUNTS
from mt.files import read_json
from mt.params import read_tree
from mt.results import SYSTEMS
from mt.segments import read_segments
from pipeline import ROOT

pytest.importorskip("datasets")
pytest.importorskip("sentencex")

pytestmark = pytest.mark.slow

SIZES = {
    "corpora.mono.limit": 80,
    "corpora.tests.2.limit": 3,
    "prepare.train": 24,
    "prepare.dev": 3,
    "prepare.test": 4,
    "prepare.mono": 40,
    "prompt.shots": 2,
    "reverse.finetune.epochs": 1,
    "reverse.finetune.batch_size": 8,
    "reverse.finetune.decode.max_new_tokens": 6,
    "backtranslate.decode.max_new_tokens": 12,
    "merge.ratio": 0.5,
    "finetune.epochs": 2,
    "finetune.batch_size": 8,
    "finetune.decode.max_new_tokens": 6,
    "translate.decode.max_new_tokens": 6,
    "evaluate.bootstrap_samples": 20,
    "report.samples": 2,
}
PRECISION = FLOAT32 | {f"{section}.weights": "float32" for section in ("reverse.finetune", "finetune")}
THRESHOLDS = {
    "filter.min_src_language": 0.0,
    "filter.min_tgt_language": 0.0,
    "filter.min_length_ratio": 0.0,
    "filter.max_length_ratio": 1000.0,
}
WIKIPEDIA = "data/testsets/wikipedia"
CARD = """---
configs:
- config_name: 20231101.ja
  data_files: articles.jsonl
---
Articles of the test's own.
"""


@dataclass(frozen=True)
class Text:
    """Sentences of random words: no two are near duplicates."""

    rng: random.Random

    def english(self) -> str:
        words = ["".join(self.rng.choices("abcdefghijklmnoprstuvwy", k=self.rng.randint(2, 8))) for _ in range(7)]
        return " ".join(words).capitalize() + "."

    def japanese(self) -> str:
        return "".join(chr(self.rng.randint(0x3042, 0x3093)) for _ in range(18)) + "。"


def lay_wikicorpus(file: Path, text: Text) -> None:
    """The corpus as its makers pack it, with 24 articles of 4 sentences, and one that is not well-formed in 25."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for number in range(24):
            sentences = "".join(
                f'<sen id="{i}"><j>{text.japanese()}</j><e type="trans" ver="1">Draft.</e>'
                f'<e type="check" ver="1">{escape(text.english())}</e></sen>'
                for i in range(1, 5)
            )
            content = (
                f'<?xml version="1.0" encoding="UTF-8"?><art orl="ja" trl="en"><par id="1">{sentences}</par></art>'
            )
            info = tarfile.TarInfo(f"wiki_corpus_2.01/BDS/BDS{number:05}.xml")
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))


def lay_wikipedia(folder: Path, text: Text) -> None:
    """Monolingual text as a repository of `datasets`: 20 articles of 4 sentences."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    rows = [{"title": "題", "text": "\n".join(text.japanese() for _ in range(4))} for _ in range(20)]
    (folder / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def lay_wmt24(home: Path, text: Text) -> None:
    """The test set where sacreBLEU unpacks it, with a segment of no letters, as the real one has."""
    dataset = sacrebleu.DATASETS["wmt24"]
    raw = home / "wmt24" / "raw"
    segments = [*((text.english(), text.japanese()) for _ in range(3)), ("🙌", "🙌")]
    src = "".join(f'<seg id="{i}">{en}</seg>' for i, (en, _) in enumerate(segments, start=1))
    ref = "".join(f'<seg id="{i}">{ja}</seg>' for i, (_, ja) in enumerate(segments, start=1))
    xml = (
        '<?xml version="1.0" encoding="utf-8"?><dataset id="wmt24"><collection id="general">'
        '<doc origlang="en" id="news.1" domain="news">'
        f'<src lang="en"><p>{src}</p></src><ref lang="ja" translator="refA"><p>{ref}</p></ref>'
        "</doc></collection></dataset>"
    )
    (raw / dataset.langpairs["en-ja"][0]).parent.mkdir(parents=True)
    (raw / dataset.langpairs["en-ja"][0]).write_text(xml, encoding="utf-8")
    for url in dataset.data:
        (raw / f"wmt24.{Path(url).name}").write_bytes(b"was unpacked")


def pins(pinned: dict[str, tiny_hub.Pinned]) -> dict[str, Any]:
    """What pins the models of the preset, by its key."""
    tree = read_tree(ROOT / "presets" / "paper.yaml")
    found = {f"models.{name}": tree["models"][name]["repo"] for name in ("source", "encoder")}
    values: dict[str, Any] = {f"{key}.revision": pinned[repo].revision for key, repo in found.items()}
    comet = pinned[tree["comet"]["repo"]]
    encoder = pinned[tree["comet"]["encoder_repo"]].revision
    return values | {"comet.revision": comet.revision, "comet.sha256": comet.sha256, "comet.encoder_revision": encoder}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which the preset has run, with nothing but what is laid out here within reach."""
    place, text = tmp_path_factory.mktemp("paper"), Text(random.Random(1))
    lay_wikicorpus(place / "cache/honyaku/wiki_corpus_2.01.tar.gz", text)
    lay_wmt24(place / "sacrebleu", text)
    for archive in read_tree(ROOT / "presets" / "paper.yaml")["models"]["lid"]["archives"]:
        link_archive(archive, place / "cache/honyaku")
    places = {"corpora.mono.path": WIKIPEDIA, "corpora.mono.revision": None}
    params = preset("paper", {**SIZES, **PRECISION, **THRESHOLDS, **places, **pins(tiny_hub.fill(place / "hub"))})
    environment = {
        "XDG_CACHE_HOME": str(place / "cache"),
        "SACREBLEU": str(place / "sacrebleu"),
        "HF_HUB_CACHE": str(place / "hub"),
        "HF_DATASETS_CACHE": str(place / "datasets"),
        "HF_HUB_OFFLINE": "1",
    }
    with cloned(place / "a clone", params, environment) as made:
        lay_wikipedia(made.folder / WIKIPEDIA, text)
        made.commit()
        made.walk()
        yield made


def link_archive(archive: dict[str, str], cache: Path) -> None:
    """Let the user's archive, downloaded where it is not there yet, stand in another cache."""
    from mt.archives import Archive, fetch, user_cache

    (cache / archive["file"]).symlink_to(fetch(Archive(**archive), user_cache()))


def test_every_system_is_scored_with_the_named_checkpoint(clone: Clone) -> None:
    summary = clone.summary()
    assert sorted(summary) == ["kyoto", "wikicorpus", "wmt24"]
    for systems in summary.values():
        assert sorted(systems) == sorted(SYSTEMS)
        assert all(
            set(scores) == {"bleu", "chrf", "comet_wmt22-comet-da", *COUNTS, "ja"} for scores in systems.values()
        )


def test_models_are_what_was_pinned(clone: Clone) -> None:
    params = read_tree(clone.folder / "params.yaml")
    for name in ("source", "encoder"):
        provenance = read_json(clone.folder / "models" / name / "provenance.json")
        assert provenance["revision"] == params["models"][name]["revision"]
        assert {Path(file).suffix for file in provenance["files"]} <= {".safetensors", ".json", ".model", ".txt"}
    assert (
        read_json(clone.folder / "models/comet/provenance.json")["files"]["checkpoints/model.ckpt"]
        == params["comet"]["sha256"]
    )


def test_the_log_says_that_the_warm_up_never_ends(clone: Clone) -> None:
    assert read_json(clone.folder / "data/training/ft/log.json")["notes"] == [
        "the warm-up of 500 steps never ends: the training has 6 steps"
    ]


def test_adapters_open_with_peft_alone(clone: Clone) -> None:
    model = AutoModelForCausalLM.from_pretrained(clone.folder / "models/base")
    PeftModel.from_pretrained(model, clone.folder / "models/adapters/ft_bt")


def test_monolingual_text_comes_from_elsewhere(clone: Clone) -> None:
    mono = read_segments(clone.folder / "data/prepared/mono.jsonl", ("tgt",))
    assert {segment["id"].rpartition("/")[0] for segment in mono} == {"data/testsets"}
    assert read_json(clone.folder / "data/synthetic/noise.json")["oracle"]["segments"] == 0


def test_the_report_says_what_the_paper_and_the_run_share(clone: Clone) -> None:
    page = (clone.folder / "metrics/report.md").read_text(encoding="utf-8")
    assert "wmt22-comet-da" in page
    assert "stand-in" not in page
