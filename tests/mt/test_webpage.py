"""The page is one file; what is Japanese is marked, what is a heading heads, and no text becomes markup."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt.errors import InputError
from mt.prompt import Languages
from mt.webpage import marked, script_language, webpage

PAIR = Languages("en", "ja")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("トムは学生だ。", '<span lang="ja">トムは学生だ。</span>'),
        ("A「京都」で10年 B", 'A<span lang="ja">「京都」で10年</span> B'),
        ("p < 0.05 & 東京", 'p &lt; 0.05 &amp; <span lang="ja">東京</span>'),
        ("TomはMaryを見た", 'Tom<span lang="ja">はMaryを見た</span>'),
    ],
)
def test_japanese_is_marked(text: str, expected: str) -> None:
    assert marked(text, "ja") == expected


@pytest.mark.parametrize(
    ("src", "tgt", "expected"),
    [("en", "ja", "ja"), ("ja", "de", "ja"), ("zh", "en", "zh"), ("ja", "zh", None), ("de", "en", None)],
)
def test_chinese_characters_are_of_the_pair_or_of_none(src: str, tgt: str, expected: str | None) -> None:
    assert script_language(Languages(src, tgt)) == expected
    assert marked("<東京>", expected) == (
        f'&lt;<span lang="{expected}">東京</span>&gt;' if expected else "&lt;東京&gt;"
    )


@given(st.text(st.sampled_from("東京とア。「」<>&a1 -"), max_size=30))
def test_marking_changes_no_text(text: str) -> None:
    plain = re.sub(r'<span lang="ja">|</span>', "", marked(text, "ja"))
    assert plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


def test_tables_have_headings_for_columns_and_rows(tmp_path: Path) -> None:
    html = webpage("# T\n\n## S\n\n|  | a | b |\n| :-- | :-- | --: |\n| row | x | 1 |\n", tmp_path, PAIR)
    assert '<td style="text-align:left"></td>\n<th style="text-align:left" scope="col">a</th>' in html
    assert '<th style="text-align:left" scope="row">row</th>' in html
    assert '<td style="text-align:left" class="text">x</td>\n<td style="text-align:right">1</td>' in html
    assert '<div class="scroll" role="region" tabindex="0" aria-label="Table: S">' in html


def test_sections_are_linked_by_ids_of_their_own(tmp_path: Path) -> None:
    html = webpage("# T\n\n## A & b\n\n## A b\n\n### deeper\n", tmp_path, PAIR)
    assert '<li><a href="#a-b">A &amp; b</a></li><li><a href="#a-b-2">A b</a></li></ul>' in html
    assert '<h2 id="a-b">' in html
    assert '<h2 id="a-b-2">' in html
    assert "<title>T</title>" in html


def test_figures_are_inside_with_their_text(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.png").write_bytes(PNG)
    html = webpage('# T\n\n![scores "of" all](plots/a.png)\n', tmp_path, PAIR)
    assert '<img alt="scores &quot;of&quot; all" src="data:image/png;base64,iVBORw0KGgo=">' in html


def test_a_missing_figure_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: no such figure"):
        webpage("# T\n\n![x](none.png)\n", tmp_path, PAIR)


def test_html_is_shown_and_figures_do_not_break_apart(tmp_path: Path) -> None:
    html = webpage("# T\n\n<img src=x onerror=alert(1)> at p < 0.05, [1.20, 1.30], 95 %\n", tmp_path, PAIR)
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "p\u00a0&lt;\u00a00.05, [1.20,\u00a01.30], 95\u00a0%" in html
