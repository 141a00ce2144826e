"""Whatever a model writes stands in a cell as it is, and breaks nothing around it."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mt.markdown import code, escape, table

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])

ESCAPED = [
    ("トムは学生だ。", "トムは学生だ。"),
    ("a|b", r"a\|b"),
    ("a\nb\r\nc\u2028d", "a b c d"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("AT&amp;T", "AT&amp;amp;T"),
    ("*a* _b_ `c` ~~d~~", r"\*a\* \_b\_ \`c\` \~\~d\~\~"),
    ("[a](b) ![c](d)", r"\[a\](b) !\[c\](d)"),
    ("$5 and $6", r"\$5 and \$6"),
    (r"back\slash", r"back\\slash"),
    ("  ends  ", "ends"),
    ("\x00\u202eright", "\ufffd\ufffdright"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), ESCAPED)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


def cells(markdown: str) -> list[str]:
    """The cells of the body, as a reader sees them; fails where one holds any element."""
    found = re.findall(r"<td[^>]*>(.*?)</td>", MARKDOWN.render(markdown), flags=re.DOTALL)
    assert not any("<" in cell for cell in found)
    return [html.unescape(cell) for cell in found]


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp", "Zs")), max_size=40))
def test_a_cell_shows_its_text(text: str) -> None:
    assert cells(table(["a", "b"], "lr", [[escape(text), "end"]])) == [text, "end"]


@given(st.text(st.sampled_from("|\\`*_[]()<>&~$!#-+.:@ \n\r\t日a1"), max_size=40))
def test_a_cell_of_marks_shows_its_text(text: str) -> None:
    assert cells(table(["a", "b"], "lr", [[escape(text), "end"]])) == [" ".join(text.split()), "end"]


def test_code_in_a_cell_keeps_its_pipes() -> None:
    rendered = MARKDOWN.render(table(["a", "b"], "ll", [[code("chrF2|nrefs:1"), "end"]]))
    assert "<code>chrF2|nrefs:1</code>" in rendered
    assert rendered.count("<td") == 2


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        table(["a", "b"], "ll", [["only one"]])
