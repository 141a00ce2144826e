"""Markdown that shows any text as that text: escaping, and tables as GitHub Flavored Markdown writes them."""

import re
from collections.abc import Sequence

LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029 ]+")
# Controls show nothing, and the bidirectional ones would reorder the rest of their line.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MARKS = re.compile(r"[\\`*_\[\]~$|@#]|(?<!\w):|:(?![\d\s]|$)")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

EMPTY = "*(empty)*"
"""What stands for a text without any character."""


def escape(text: str) -> str:
    """Make `text` stand for itself in one Markdown line or table cell.

    Line breaks and runs of blanks become one space, invisible controls U+FFFD; marks of CommonMark, GitHub's tables,
    links, mentions, emoji and formulas get a backslash; `&`, `<` and `>` become entities, for renderers that know no
    backslash before them.
    """
    line = CONTROLS.sub("\ufffd", LINE_BREAKS.sub(" ", text)).strip()
    return re.sub(r"[&<>]", lambda match: ENTITIES[match[0]], MARKS.sub(r"\\\g<0>", line))


def code(text: str) -> str:
    """`text` as code that may stand in a table cell; as plain text where it holds a backtick."""
    return escape(text) if "`" in text else "`" + LINE_BREAKS.sub(" ", text).replace("|", r"\|") + "`"


def image(alt: str, link: str) -> str:
    """A figure, and the text that stands for it."""
    return f"![{escape(alt)}]({link})"


def table(head: Sequence[str], align: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already (see `escape`).

    Args:
        head: the heading of each column.
        align: for each column `l`, or `r` for numbers.
        rows: each as long as `head`; the first cell names the row.
    """
    rule = [{"l": ":--", "r": "--:"}[side] for _, side in zip(head, align, strict=True)]
    lines = [head, rule, *rows]
    if any(len(line) != len(head) for line in lines):
        raise ValueError(f"each row of the table needs {len(head)} cells")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
