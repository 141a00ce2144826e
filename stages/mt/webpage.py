"""The report's Markdown as one HTML file that needs nothing else: its style and its figures are in it."""

import base64
import re
from collections.abc import MutableMapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from mt.errors import InputError
from mt.prompt import Languages

SCRIPT = "々-〇ぁ-ヿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ"
AROUND = SCRIPT + "、-〟！-･0-9A-Za-z…―"
RUN = re.compile(f"[「『（〈《【]*[{SCRIPT}]+(?:[{AROUND}]*[{SCRIPT}]+)*[、-〟！-･…]*")
"""A run of Chinese characters and kana with the punctuation, digits and Latin letters inside it."""

GLUED = re.compile(r"(?<=\bp) (?=[<=] \d)|(?<=\bp [<=]) (?=\d)|(?<=\d,) (?=[\d.-]+\])|(?<=\d) (?=%)")
"""Blanks at which `p < 0.05`, `[1.20, 1.30]` and `95 %` must not break."""

STYLE = """\
:root { color-scheme: light; --ink: #1c1c1c; --muted: #555; --line: #d4d4d0; --tint: #f5f5f1; --link: #00528a; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
:lang(ja) { font-family: "Hiragino Sans", "Yu Gothic Medium", "Yu Gothic", Meiryo, "Noto Sans CJK JP", "Noto Sans JP",
  sans-serif; line-height: 1.75; line-break: strict; overflow-wrap: anywhere; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.25rem; letter-spacing: -0.01em; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3.25rem 0 0.75rem; padding-top: 0.9rem;
  border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 2rem 0 0.25rem; color: var(--muted); font-weight: 600; }
p, ul, blockquote { margin: 0.75rem 0; max-width: 46rem; }
p:has(img) { max-width: none; }
ul { padding-left: 1.25rem; }
li { margin: 0.3rem 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
blockquote { margin-left: 0; padding: 0.1rem 1rem; border-left: 4px solid #a33c00; background: #fdf5ef; }
code { font: 0.9em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; padding: 0; font-size: 0.95rem;
  max-width: none; }
nav li { margin: 0; }
.scroll { overflow-x: auto; margin: 1rem 0 1.5rem; }
table { border-collapse: separate; border-spacing: 0; font-size: 0.93rem; line-height: 1.45;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.4rem 0.8rem; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--line); }
thead th, thead td { white-space: nowrap; border-bottom: 1.5px solid var(--ink); background: var(--tint); }
tbody th { font-weight: 400; white-space: nowrap; background: #fff; }
tbody td:not(.text) { white-space: nowrap; }
.text { min-width: 13rem; max-width: 38rem; overflow-wrap: anywhere; }
img { display: inline-block; width: min(100%, 28.5rem); height: auto; margin: 0.5rem 0.5rem 0.5rem 0;
  vertical-align: top; }
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.55rem; }
  th, td { padding: 0.35rem 0.5rem; }
  table { font-size: 0.88rem; }
  tbody th { white-space: normal; max-width: 9rem; }
  tr > :first-child { position: sticky; left: 0; }
}
@media print {
  nav { display: none; }
  .scroll { overflow: visible; }
  tr, img { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
"""Every text has a contrast of at least 7 to 1 with what is behind it."""


def webpage(markdown: str, folder: Path, languages: Languages) -> str:
    """Render a page.

    Args:
        markdown: CommonMark with tables; HTML in it is shown, not used.
        folder: where the page's links to PNG figures begin.
        languages: those of the texts that it shows; the page itself is in English.

    Raises:
        InputError: a figure is missing.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    sections = _mark(tokens)
    body = _Renderer(folder, script_language(languages)).render(tokens, parser.options, {})
    title, _, rest = body.partition("</h1>\n")
    links = "".join(f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{re.sub('<[^>]*>', '', title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{title}</h1>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n{rest}</main>\n</body>\n</html>\n'
    )


def script_language(languages: Languages) -> str | None:
    """The one of two languages whose text Chinese characters are; None where that is neither, or could be both."""
    found = {languages.src, languages.tgt} & {"ja", "zh"}
    return found.pop() if len(found) == 1 else None


def marked(text: str, language: str | None) -> str:
    """`text` as HTML, with what is of `language` marked as such: a browser picks glyphs and line breaks by language.

    Args:
        text: plain text.
        language: `ja`, `zh` or None for nothing to mark.
    """
    found = []
    end = 0
    for match in RUN.finditer(text) if language else ():
        found += [escape(text[end : match.start()]), f'<span lang="{language}">{escape(match[0])}</span>']
        end = match.end()
    return "".join([*found, escape(text[end:])])


class _Renderer(RendererHTML):
    """markdown-it's own, but for text, figures and tables; a method's name is the type of the token it renders."""

    def __init__(self, folder: Path, language: str | None) -> None:
        super().__init__()
        self._folder = folder
        self._language = language

    def text(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,
        env: MutableMapping[str, Any],
    ) -> str:
        return marked(GLUED.sub("\u00a0", tokens[idx].content), self._language)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        path = self._folder / str(tokens[idx].attrs["src"])
        try:
            data = base64.b64encode(path.read_bytes()).decode()
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such figure; run `dvc repro report`") from error
        alt = escape(self.renderInlineAsText(tokens[idx].children, options, env))
        return f'<img alt="{alt}" src="data:image/png;base64,{data}">'

    def table_open(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,
        env: MutableMapping[str, Any],
    ) -> str:
        # The box scrolls by itself on a narrow screen, so the keyboard must reach it.
        name = escape(str(tokens[idx].meta["section"]))
        return f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {name}">\n<table>\n'

    def table_close(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,
        env: MutableMapping[str, Any],
    ) -> str:
        return "</table>\n</div>\n"


def _mark(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Give headings ids and table cells their part, in place; returns id and text of every second-level heading."""
    sections = []
    ids: set[str] = set()
    section = ""
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            section = "".join(child.content for child in tokens[i + 1].children or [])
            name = _slug(section, ids)
            token.attrSet("id", name)
            if token.tag == "h2":
                sections.append((name, section))
        elif token.type == "table_open":
            token.meta["section"] = section
        elif token.type in ("th_open", "td_open"):
            _mark_cell(tokens, i)
    return sections


def _mark_cell(tokens: Sequence[Token], i: int) -> None:
    cell, close = tokens[i], tokens[i + 2]
    numeric = "right" in str(cell.attrs.get("style", ""))
    if cell.type == "th_open" and tokens[i + 1].content:
        cell.attrSet("scope", "col")
    elif cell.type == "th_open":
        cell.tag = close.tag = "td"  # an empty heading names nothing
    elif tokens[i - 1].type == "tr_open":
        cell.tag = close.tag = "th"
        cell.attrSet("scope", "row")
    elif not numeric:
        cell.attrSet("class", "text")


def _slug(text: str, taken: set[str]) -> str:
    slug = re.sub(r"\W+", "-", text.casefold()).strip("-") or "section"
    name, number = slug, 2
    while name in taken:
        name, number = f"{slug}-{number}", number + 1
    taken.add(name)
    return name
