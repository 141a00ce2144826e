"""What is fuzzed: each parser of what comes from outside, as a function of bytes.

A target writes the bytes where its parser reads them, has it read them to the end, and does with the result what the
stage does next. Only an InputError of one line may come of that; anything else is a find. Two kinds of drivers call
the targets: tests/test_fuzz.py for a moment at every run of the tests, fuzz/run.py for as long as one likes.
"""

import gzip
import hashlib
import io
import json
import math
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from time import process_time
from types import NoneType
from typing import Any

import tiny_e5
from corpus_requests import MONO, PAIR, WIKICORPUS, corpus, local, request
from mt.archives import Archive, member_bytes
from mt.clean import Limits, clean, normalised
from mt.corpora import read_corpus
from mt.e5_packed import read as read_e5
from mt.errors import InputError
from mt.gemma import SIZES, described
from mt.gguf_bpe import build
from mt.params import convert, read_tree
from mt.prompt import Languages
from mt.reader import Request
from mt.segments import read_segments, write_segments
from mt.sentences import sentences
from mt.tally import Tally
from pipeline import ROOT, module, scripts
from report_inputs import EMBEDDED, write_inputs

MAX_MESSAGE = 5000
DVC_TAKES = (dict, list, str, int, float, NoneType)
MAX_SECONDS = 2.0
"""Of a text of a few ten thousand characters."""
LIMITS = Limits(min_chars=1, max_chars=500, max_words=500, min_length_ratio=0, max_length_ratio=1)
E5_HEAD = 2500
"""Bytes of the packed file before its tensors, and a few of theirs."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        run: takes the bytes and a folder of its own, which it may leave as it likes.
        seeds: sound inputs to begin with.
        words: what such inputs are made of.
    """

    run: Callable[[bytes, Path], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes]


@contextmanager
def refusable() -> Iterator[None]:
    """Let pass what a parser may raise: an InputError whose message is one line that a terminal can show."""
    try:
        yield
    except InputError as error:
        message = str(error)
        if not message or len(message) > MAX_MESSAGE or "\n" in message or "\r" in message:
            raise AssertionError(f"a message of {len(message)} characters: {message[:MAX_MESSAGE]!r}") from error


def fetched(asked: Request, folder: Path) -> None:
    """Read a corpus and write it with its counts, as the stage `corpora` does."""
    tally = Tally(3)
    write_segments(folder / "out.jsonl", read_corpus(asked, tally))
    if len(read_segments(folder / "out.jsonl", asked.texts)) != tally.kept:
        raise AssertionError("what was written is not what was kept")
    json.dumps(tally.report(), ensure_ascii=False, allow_nan=False).encode()


def file_of_ones_own(source: str) -> Callable[[bytes, Path], None]:
    """The reader of that name, for pairs where the first byte is even, for monolingual text where it is odd."""

    def run(data: bytes, folder: Path) -> None:
        path = folder / "own"
        path.write_bytes(data[1:])
        with refusable():
            fetched(local(source, path, MONO if data[:1] and data[0] & 1 else PAIR), folder)

    return run


def segments(data: bytes, folder: Path) -> None:
    """What is read can be written, and is then read alike."""
    path, again = folder / "a.jsonl", folder / "b.jsonl"
    path.write_bytes(data)
    with refusable():
        found = read_segments(path, PAIR)
        write_segments(again, found)
        if read_segments(again, PAIR) != found:
            raise AssertionError("what was written is read otherwise")


def normalise(data: bytes, _: Path) -> None:
    """A text, Japanese where the first byte is even: cleaned as `prepare` does, and split into sentences."""
    languages = Languages("de", "en" if data[:1] and data[0] & 1 else "ja")
    text = data[1:].decode("utf-8", "replace")
    start = process_time()
    with refusable():
        for segment in clean([{"id": "x", "tgt": text}], languages, LIMITS, Tally(1)):
            if normalised(segment, languages) != segment:
                raise AssertionError("the normal form of a normal form is another one")
        sentences(text, languages.tgt)
    if process_time() - start > MAX_SECONDS:
        raise AssertionError(f"a text of {len(text)} characters takes {process_time() - start:.1f} seconds")


def tatoeba(data: bytes, folder: Path) -> None:
    pinned = packed("own-1.zip", zipped({"SENTENCES": data}), "SENTENCES", folder)
    with refusable():
        fetched(request(corpus("tatoeba", archives=(pinned,)), folder), folder)


def wikicorpus_xml(data: bytes, folder: Path) -> None:
    articles = folder / "articles"
    articles.mkdir(exist_ok=True)
    (articles / "BDS00010.xml").write_bytes(data)
    with refusable():
        fetched(wikicorpus(articles), folder)


def wikicorpus_tar(data: bytes, folder: Path) -> None:
    """After the first byte, a .tar.gz, or a tar that is compressed here, or one whose checksums are mended before."""
    mode, content = data[0] % 3 if data else 0, data[1:]
    content = checksummed(content) if mode == 2 else content
    path = folder / "corpus.tar.gz"
    path.write_bytes(gzip.compress(content, 1, mtime=0) if mode else content)
    with refusable():
        fetched(wikicorpus(path), folder)


def wikicorpus(path: Path) -> Request:
    options = replace(WIKICORPUS, titles=True, max_malformed=1.0)
    return request(corpus("wikicorpus", path=str(path)), path.parent, wikicorpus=options)


def e5_packed(data: bytes, folder: Path) -> None:
    """The bytes before those of the tensors."""
    path = folder / "packed"
    path.unlink(missing_ok=True)  # the last input may be mapped still
    path.write_bytes(data + e5_file()[E5_HEAD:])
    with refusable():
        for tensor in read_e5(path).tensors.values():
            tensor.tobytes()


def gguf(data: bytes, folder: Path) -> None:
    """Two parts in archives, joined, and what the joined file says of itself."""
    half = len(data) // 2
    parts = [
        packed(f"own-{number}.zip", zipped({"part": part}), "part", folder)
        for number, part in enumerate((data[:half], data[half:]))
    ]
    fetch_models = module("stages/fetch_models.py")
    digest = hashlib.sha256(data).hexdigest()
    model = fetch_models.Model("own", "none", "gguf", None, None, digest, tuple(parts))
    joined = folder / "joined.gguf"
    joined.unlink(missing_ok=True)
    with refusable():
        fetch_models.join(model, folder, joined)
        _, pieces, _ = described(joined)
        build(pieces).encode("a b")


def archive_zip(data: bytes, folder: Path) -> None:
    with refusable():
        member_bytes(packed("own-1.whl", data, "own/data", folder), folder)


def archive_tar(data: bytes, folder: Path) -> None:
    mode, content = data[0] % 3 if data else 0, data[1:]
    content = checksummed(content) if mode == 2 else content
    content = gzip.compress(content, 1, mtime=0) if mode else content
    with refusable():
        member_bytes(packed("own-1.tar.gz", content, "own/data", folder), folder)


def params_yaml(data: bytes, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_bytes(data)
    with refusable():
        tree = read_tree(path)
        if odd := [value for holder, key in walk(tree) if not isinstance(value := holder[key], DVC_TAKES)]:
            raise AssertionError(f"dvc.yaml has no place for {odd[0]!r}")
        convert(module("stages/merge.py").Params, tree, path, {"system": "systems.ft"})


def params_values(data: bytes, folder: Path) -> None:
    """The smoke preset with up to four values changed: each takes two bytes to find it, one for the change."""
    tree = json.loads(preset())
    for at in range(0, min(len(data), 12) - 2, 3):
        places = list(walk(tree))
        holder, key = places[int.from_bytes(data[at : at + 2]) % len(places)]
        change(holder, key, data[at + 2], data[12:].decode("utf-8", "surrogateescape"), VALUES)
    for cls, at_keys in stages():
        with refusable():
            convert(cls, tree, folder / "params.yaml", at_keys)


def report_json(data: bytes, folder: Path) -> None:
    """The JSON file of the report that the first byte says, with up to four values changed, as in `params_values`."""
    report, paths, params = report_stage(folder)
    files = sorted(folder.glob("data/**/*.json"))
    path = files[(data[0] if data else 0) % len(files)]
    sound = path.read_text(encoding="utf-8")
    tree = [json.loads(sound)]
    changes = data[1:]
    for at in range(0, min(len(changes), 12) - 2, 3):
        if places := list(walk(tree)):
            holder, key = places[int.from_bytes(changes[at : at + 2]) % len(places)]
            change(holder, key, changes[at + 2], changes[12:].decode("utf-8", "surrogateescape"), JSON_VALUES)
    path.write_text("".join(json.dumps(one) for one in tree), encoding="utf-8")
    try:
        with refusable():
            found = report.measure(paths, params)
            report.page(found, "plots").encode()
            rows = [report.training_rows(found.trainings, name) for name in report.development_metrics(found.trainings)]
            json.dumps([rows, report.score_rows(found.testsets), report.summary(found.testsets)], allow_nan=False)
            report.waterfall(found.filter)
    finally:
        path.write_text(sound, encoding="utf-8")


def report_stage(folder: Path) -> tuple[Any, Any, Any]:
    """The stage, where it reads and writes in that folder, and its parameters."""
    report = module("stages/report.py")
    data = folder / "data"
    if not data.is_dir():
        write_inputs(folder, {"tatoeba": 4})
    files = ("comet/metrics", "prepared/counts", "synthetic/noise", "synthetic/filter", "leakage/metrics")
    read = [data / "scores", data / "hyps", data / "training", *(data / f"{name}.json" for name in files)]
    paths = report.Paths(*read, *(folder / name for name in ("summary.json", "page.md", "page.html", "plots")))
    return report, paths, report.Params(**vars(EMBEDDED), testsets=("tatoeba",), report=report.Report(2, 1))


NAMED, TWICE = 0xC0, 0xF0
VALUES: list[Any] = [
    *(None, True, False, [], [[]], {}, {1: 2}, (1, 2), b"\xff", date(2000, 1, 1), ["a"] * 300, {"a": {"b": [1]}}),
    *(0, -1, 1, 2, 7, 2**31, 2**63 - 1, 2**63, 10**400, -(10**5000), 1 << 60000),
    *(0.0, -0.0, 0.5, 1.0, -1.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan),
    *("", " ", "\n", "\0", "\ud800", "x" * 3000, "..", "../..", "/dev/zero", "http://[/x", "https://a/..", "{", "{0}"),
    *("{src}{tgt}\n", "{src}{src}{tgt}\n", "{src.a}{tgt}\n", "{src[0]}{tgt}\n", "{src!r}{tgt}\n", "parallel", "hf"),
]
JSON_VALUES: list[Any] = [
    *(None, True, False, [], [[]], {}, {"a": 1}, [1, 2], ["a"], {"a": {"b": [1]}}, {"segments": 1}, "", " ", "x", "\n"),
    *("\ud800", "x" * 3000, "../..", "`|<b>", 0, -1, 1, 2, 7, 2**63, 10**12, 10**300, 10**400, 0.0, -0.0, 0.5, 1e12),
    *(-1e12, 1e308, -1e308, 1e-320, math.inf, -math.inf, math.nan),
]


def walk(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in nested mappings and lists."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from walk(tree[key])


def change(holder: Any, key: Any, how: int, text: str, values: Sequence[Any]) -> None:
    """Put another value there, put it there twice, give it another name, or take it out."""
    if how < NAMED:
        holder[key] = deepcopy(values[how % len(values)])
    elif how < TWICE:
        holder[key] = text
    elif how % 3 == 0 and isinstance(holder, list):
        holder.append(deepcopy(holder[key]))
    elif how % 3 == 1 and isinstance(holder, dict):
        holder[text] = holder.pop(key)
    else:
        del holder[key]


@cache
def stages() -> list[tuple[type, dict[str, str]]]:
    """The parameters of each stage, and where those stand that have no place of their own."""
    at = {"model": "models.source", "system": "systems.ft_bt"}
    classes = [module(script).Params for script in scripts()]
    return [(cls, {field.name: at[field.name] for field in fields(cls) if field.name in at}) for cls in classes]


@cache
def preset() -> str:
    return json.dumps(read_tree(ROOT / "presets" / "smoke.yaml"))


def whole_yaml() -> bytes:
    """A parameter file that `merge` can be run with: the keys that it reads, and nothing under any other."""
    sections = json.loads(preset())
    read = {key: value if key in ("systems", "merge") else None for key, value in sections.items()}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in read.items()).encode()


def packed(file: str, content: bytes, member: str, folder: Path) -> Archive:
    """Put an archive where downloads are kept, and pin it."""
    (folder / file).write_bytes(content)
    return Archive("own", "1", file, hashlib.sha256(content).hexdigest(), member)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def tarred(members: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if kind == tarfile.PAX_FORMAT:
                info.pax_headers = {"comment": "猫"}
            file.addfile(info, io.BytesIO(content))
    whole = out.getvalue().rstrip(b"\0")
    return whole + bytes(-len(whole) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def checksummed(tar: bytes) -> bytes:
    """A tar in which each block that looks like a header has the checksum of one."""
    blocks = [tar[at : at + tarfile.BLOCKSIZE] for at in range(0, len(tar), tarfile.BLOCKSIZE)]
    for number, block in enumerate(blocks):
        if len(block) == tarfile.BLOCKSIZE and block[257:262] == b"ustar":
            total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def gguf_file() -> bytes:
    """A Gemma 3 of one layer and eight pieces, each weight 0."""
    sizes = dict.fromkeys(SIZES, 1) | {"attention.key_length": 2, "attention.value_length": 2, "context_length": 8}
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "ab", "▁"]
    special = {"padding": 0, "eos": 1, "bos": 2, "unknown": 3}
    keys = [
        text("general.architecture") + struct.pack("<I", 8) + text("gemma3"),
        *(text(f"gemma3.{name}") + struct.pack("<II", 4, size) for name, size in sizes.items()),
        text("gemma3.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-6),
        text("gemma3.rope.freq_base") + struct.pack("<If", 6, 1e6),
        text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("llama"),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 8) + b"".join(map(text, tokens)),
        text("tokenizer.ggml.scores") + struct.pack("<IIQ8f", 9, 6, 8, *(-float(n) for n in range(8))),
        text("tokenizer.ggml.token_type") + struct.pack("<IIQ8i", 9, 5, 8, 3, 3, 3, 2, 1, 1, 1, 1),
        *(text(f"tokenizer.ggml.{task}_token_id") + struct.pack("<II", 4, n) for task, n in special.items()),
    ]
    shapes = {"token_embd.weight": (1, 8), "output_norm.weight": (1,)}
    block = {"attn_q": (1, 2), "attn_k": (1, 2), "attn_v": (1, 2), "attn_output": (2, 1), "attn_q_norm": (2,)}
    block |= {"attn_k_norm": (2,), **dict.fromkeys(("attn_norm", "post_attention_norm"), (1,))}
    block |= {**dict.fromkeys(("ffn_gate", "ffn_up", "ffn_down"), (1, 1)), "ffn_norm": (1,), "post_ffw_norm": (1,)}
    shapes |= {f"blk.0.{name}.weight": shape for name, shape in block.items()}
    tensors, offset = b"", 0
    for name, shape in shapes.items():
        tensors += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += -4 * math.prod(shape) // 32 * -32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(keys)) + b"".join(keys) + tensors
    return head + bytes(-len(head) % 32 + offset)


def text(value: str) -> bytes:
    """A string as GGUF has it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


@cache
def e5_file() -> bytes:
    """The packed file of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_e5.write(Path(folder) / "packed")
        return (Path(folder) / "packed").read_bytes()


TSV = "x\ta\tあ\ny\tb\tい\n".encode()
LINE = (
    '{"id": "x", "src": "a", "tgt": "あ", "doc": "d", "scores": {"copy": 0.5, "n": [1, -2e3, null, true]}}\n'.encode()
)
ARTICLE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<art orl="ja" trl="en"><inf>jawiki</inf><tit><j>寺</j>'
    '<e type="trans" ver="1">T</e><cmt></cmt><e type="check" ver="1">Temple</e></tit><par id="1"><sen id="1">'
    '<j>文。</j><e type="check" ver="1">A &amp; <b>B</b>.</e></sen></par><!-- c --><![CDATA[x]]></art>'
).encode()
YAML = b"""preset: smoke # c
launch: 'python'
languages: {src: en, tgt: "ja\\x41"}
testsets: [a, b]
lora:
  rank: 16
  alpha: 5e-05
  tags: &a [1, 0x1F, 0o17, .inf, ~, yes, 2001-01-01T10:00:00Z]
  text: |
    one
    two
  fold: >-
    three
? key
: !!str 7
<<: *a
"""
NUMBERS = tuple(struct.pack(layout, value) for layout, value in [("<Q", 2**60), ("<I", 2**31 - 1), ("<i", -1)])
JSON_WORDS = (
    *(b"NaN", b"-Infinity", b"1e999", b"1" * 400, b"\\ud800", b"\\u0000", b"\\n", b"[" * 40, b"{", b"}", b'"id"', b"]"),
    *(b'"src": "', b'"tgt":', b"\r", b"\x00", b"\xef\xbb\xbf", b"\xff", "\u2028".encode(), b'"x"', b",", b"\n", LINE),
)
XML_WORDS = (
    *(b"<!DOCTYPE a>", b'<!DOCTYPE a [<!ENTITY b "c">]>', b"&b;", b"&#xD800;", b"&#0;", b"&#10;", b"<sen>", b"</sen>"),
    *(b'<sen id="1">', b"<j>", b"</j>", b'<e type="check">', b"</e>", b"<tit>", b"<![CDATA[", b"]]>", b"<!--", b"\x00"),
    *(
        b"UTF-16",
        b"utf-7",
        b"idna",
        b"hex",
        b"shift_jis",
        b"cp037",
        b"punycode",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"<?a?>",
    ),
)
JAPANESE = "ｶﾞｷﾞ「Ａは・・・ 。. .」と言った!? 3:30 ～（①㎏）".encode()
TEXT_WORDS = tuple(
    text.encode()
    for text in (
        *(
            ". ",
            "..",
            "・",
            "・・・",
            "。",
            "」",
            "「",
            "『",
            "、",
            ",",
            ":",
            ";",
            "!",
            "?",
            "~",
            "(",
            "“",
            "”",
            "'",
            "’",
            "-",
        ),
        *(" ", "\u3000", "\u2028", "\n", "\u200b", "\u00ad", "\u202e", "\u3099", "\u0301", "\u0316", "\ufdfa", "ﾞ", "…"),
        *("a", "1", "あ", "猫", "가", "\u1100", "\U000e0100", "\ufe0f", "\u0345", "ß", "İ", "ͺ"),
        *(". " * 8000, "・・ " * 4000, "\u0301\u0316" * 8000, "「" * 8000, "」" * 8000, "。」" * 5000, "“" * 8000),
    )
)
YAML_WORDS = (
    *(
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!python/name:os.system ",
        b"!!binary ",
        b"!!set ",
        b"!!omap ",
        b"!!timestamp ",
        b"---",
    ),
    *(b"%YAML 1.1\n", b"%TAG ! a:\n", b"? ", b": ", b"- ", b"| ", b">+2\n", b"[", b"]", b"{", b"}"),
    *(
        b"0x" + b"f" * 5000,
        b"9" * 5000,
        b"1:30:00",
        b".nan",
        b"1e400",
        b"\xef\xbb\xbf",
        b"\x00",
        b"...\n",
        b"#",
        b"!!int ",
    ),
)
TAR_WORDS = (
    *(
        b"ustar\x0000",
        b"ustar  \0",
        b"../",
        b"/etc/",
        b"GNU.sparse.major=1\n",
        b"GNU.sparse.map=0,1\n",
        b"\x80",
        b"\xff",
    ),
    *(
        b"22 GNU.sparse.minor=0\n",
        b"14 size=99999\n",
        b"17 hdrcharset=BINARY\n",
        b"0" * 11,
        b"7" * 11,
        b"\x80" + bytes(11),
    ),
    *(bytes([kind]) for kind in b"0123456789xgLKSV"),
)
OWN = {"own/a": b"x", "own/data": b"content" * 20}
CORPUS = {"w/BDS/BDS00010.xml": ARTICLE, "w/HST/HST00002.xml": b"<"}

TARGETS = {
    "tsv": Target(
        file_of_ones_own("tsv"),
        [b"\0" + TSV, b"\1" + TSV.replace(b"\t", b""), "\0\ufeffa\tあ\r\n".encode()],
        (b"\t", b"\n", b"\r", b"\x00", b"\xef\xbb\xbf", b"\xff", "\u2028".encode(), b"\xed\xa0\x80", TSV),
    ),
    "jsonl": Target(file_of_ones_own("jsonl"), [b"\0" + LINE, b"\1" + LINE], JSON_WORDS),
    "segments": Target(segments, [LINE, LINE + LINE.replace(b'"x"', b'"y"')], JSON_WORDS),
    "normalise": Target(
        normalise, [b"\0" + JAPANESE, b"\1Mr. Smith \xe2\x80\x9ccame\xe2\x80\x9d ... at 3:30\xc2\xa0p.m."], TEXT_WORDS
    ),
    "tatoeba": Target(
        tatoeba, ["1\t猫だ。\tA cat.\t-\n2\t犬だ。\t-\t-\n".encode()], (b"\t", b"\n", b"\r", b"-", b"\xff")
    ),
    "wikicorpus_xml": Target(wikicorpus_xml, [ARTICLE], XML_WORDS),
    "wikicorpus_tar": Target(
        wikicorpus_tar,
        [
            *(mode + tarred(CORPUS, kind) for mode in (b"\1", b"\2") for kind in range(3)),
            b"\0" + gzip.compress(tarred(CORPUS), mtime=0),
        ],
        TAR_WORDS,
    ),
    "e5_packed": Target(e5_packed, [e5_file()[:E5_HEAD]], NUMBERS),
    "gguf": Target(gguf, [gguf_file()], (*NUMBERS, b"GGUF", b"gemma3.", b"tokenizer.ggml.", text("general.alignment"))),
    "archive_zip": Target(
        archive_zip,
        [zipped(OWN), zipped(OWN, zipfile.ZIP_DEFLATED)],
        (*NUMBERS, b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"own/data", b"\1\0\x10\0"),
    ),
    "archive_tar": Target(
        archive_tar,
        [
            *(mode + tarred(OWN, kind) for mode in (b"\1", b"\2") for kind in range(3)),
            b"\0" + gzip.compress(tarred(OWN), mtime=0),
        ],
        TAR_WORDS,
    ),
    "params_yaml": Target(
        params_yaml, [whole_yaml(), YAML, YAML.replace(b"&a ", b"").replace(b"<<: *a\n", b"")], YAML_WORDS
    ),
    "report_json": Target(report_json, [bytes([number]) for number in range(14)], ()),
    "params_values": Target(
        params_values, [bytes(3), bytes([0, 9, 20, 1, 1, 0xFF, 0, 7, 0xFD, 0, 2, 0xFE]) + b"{src}: {tgt}\n"], ()
    ),
}
