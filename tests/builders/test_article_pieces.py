"""Pieces of articles: they fit, nothing is lost or doubled, and code blocks stay whole or closed."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.builders.articles.cleaning import CleanArticle, clean
from myna.builders.articles.markdown import Block, fence_edges, parse
from myna.builders.articles.pieces import HeadingPath, Piece, cut
from myna.builders.articles.questions import Questions
from myna.errors import RecipeError

WORDS = st.sampled_from(
    ["select", "表", "PostgreSQL", "配置参数。", "a.", "`x|y`", "[l](m.md)", "**b**", "1", "例如：", "&amp;"]
)
LINE = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
PARAGRAPH = st.lists(LINE, min_size=1, max_size=4).map("\n".join)
HEADING = st.builds(lambda level, text: "#" * level + " " + text, st.integers(1, 4), LINE)
CODE = st.lists(st.one_of(LINE, st.just(""), st.just("  # no heading"), st.just("- no list")), max_size=12)
FENCE = st.builds(
    lambda mark, info, lines, closed: "\n".join([mark + info, *lines, *([mark] if closed else [])]),
    st.sampled_from(["```", "~~~", "````"]),
    st.sampled_from(["", "sql", "yaml {1}"]),
    CODE,
    st.booleans(),
)
TABLE = st.lists(st.tuples(LINE, LINE), max_size=8).map(
    lambda rows: "\n".join(["| a | b |", "|---|---|", *(f"| {one} | {two} |" for one, two in rows)])
)
LEAF = st.one_of(PARAGRAPH, FENCE, TABLE, st.just("<div>\nhtml\n</div>"), LINE.map(lambda line: f"    {line}"))


def _indented(first: str, rest: str, text: str) -> str:
    return "\n".join((first if at == 0 else rest) + line for at, line in enumerate(text.split("\n")))


NESTED = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda items: "\n".join(_indented("- ", "  ", i) for i in items)),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: _indented("3. ", "   ", "\n\n".join(items))),
        inner.map(lambda text: _indented("> ", "> ", text)),
    ),
    max_leaves=6,
)
JUNK = st.one_of(
    st.just("![image](x.png)"),
    st.just("----"),
    st.just("<!-- comment -->"),
    st.just("- [only](a.md)\n- [links](b.md)"),
    st.just(":::note\ninside"),
    st.just(":::"),
    st.just("[name]: http://a.b"),
    st.text(max_size=30),
)
ARTICLE = st.lists(st.one_of(HEADING, NESTED, NESTED, JUNK), max_size=12).map("\n\n".join)
LIMITS = st.integers(90, 400)


def _questions(limit: int) -> Questions:
    return Questions(lambda prompt, answer: len(prompt) + len(answer), limit, "{title}")


def _cut(text: str, limit: int) -> tuple[CleanArticle, list[Piece], Questions]:
    article, questions = clean(text, title="T", name="t"), _questions(limit)
    return article, cut(article, questions.cost, limit), questions


def _ink(text: str) -> str:
    return "".join(text.split())


def _fences(article: CleanArticle) -> list[Block]:
    return [leaf for block in article.blocks for leaf in block.leaves() if leaf.kind == "fence"]


@settings(max_examples=100, deadline=None)
@given(ARTICLE, LIMITS)
def test_every_piece_fits_with_its_question(text: str, limit: int) -> None:
    _, pieces, questions = _cut(text, limit)
    for piece in pieces:
        assert len(questions.ask(piece.path, (98, 99))) + len(piece.text) <= limit


@settings(max_examples=150, deadline=None)
@given(ARTICLE, LIMITS)
def test_pieces_hold_all_of_the_article_once_and_in_order(text: str, limit: int) -> None:
    article, pieces, _ = _cut(text, limit)
    place = 0
    for piece in pieces:
        assert place <= piece.start < piece.end
        assert _ink(piece.text) == _ink(piece.before + article.text[piece.start : piece.end] + piece.after)
        _check_gap(article, place, piece)
        place = piece.end
    assert _only_closes(article.text[place:])
    assert bool(pieces) == bool(_ink(article.text))


def _check_gap(article: CleanArticle, place: int, piece: Piece) -> None:
    """Between two pieces stand only headings that the second one names, and the frame of a block that was cut."""
    gap = [line for line in article.text[place : piece.start].split("\n") if line.strip()]
    headings = [line for line in gap if line.lstrip().startswith("#")]
    assert len(headings) <= len(piece.path) - 1
    frame = [line for line in gap if line not in headings and not _only_closes(line)]
    assert _ink(piece.before).endswith(_ink("".join(frame)).lstrip("-3.>")) or all(_is_frame(line) for line in frame)


def _only_closes(text: str) -> bool:
    return not _ink(text).strip("`~>")


def _is_frame(line: str) -> bool:
    return any(mark in line for mark in ("```", "~~~", "| a | b |", "|---|---|", "| --- | --- |"))


@settings(max_examples=150, deadline=None)
@given(ARTICLE, LIMITS)
def test_no_piece_leaves_a_code_block_open(text: str, limit: int) -> None:
    _, pieces, _ = _cut(text, limit)
    for piece in pieces:
        lines = piece.text.split("\n")
        for block in parse(lines):
            if block.kind == "fence":
                assert fence_edges(block, lines)[2], piece.text


@settings(max_examples=150, deadline=None)
@given(ARTICLE, LIMITS)
def test_a_code_block_that_fits_is_in_one_piece(text: str, limit: int) -> None:
    article, pieces, questions = _cut(text, limit)
    offsets = list(accumulate((len(line) + 1 for line in article.lines), initial=0))
    longest_path: HeadingPath = max(
        (piece.path for piece in pieces), key=lambda p: questions.cost(p, ""), default=("T",)
    )
    for fence in _fences(article):
        start, end = offsets[fence.start], offsets[fence.end] - 1
        if questions.cost(longest_path, article.text[start:end]) <= limit:
            assert any(piece.start <= start and end <= piece.end for piece in pieces)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="#`~>-*+|[]()!<>:\n\t 1.a\\&=_"), ARTICLE), LIMITS)
def test_no_text_whatever_makes_it_fail(text: str, limit: int) -> None:
    article, pieces, _ = _cut(text, limit)
    assert all(piece.text.strip() for piece in pieces)
    assert clean(article.text, title="T", name="t") is not None


def test_a_short_article_stays_whole_under_its_title_alone() -> None:
    _, (piece,), _ = _cut("# T\n\nWords.\n\n## More\n\nOther words.\n", 200)
    assert piece.path == ("T",)
    assert piece.text == "Words.\n\n## More\n\nOther words."


def test_a_long_article_is_cut_at_its_headings_which_the_question_names() -> None:
    text = "# T\n\n" + "\n\n".join(f"## Part {number}\n\n{'Some words. ' * 8}" for number in range(3))
    _, pieces, questions = _cut(text, 150)
    assert [questions.ask(piece.path) for piece in pieces] == ["T > Part 0", "T > Part 1", "T > Part 2"]
    assert all(piece.text.startswith("Some words.") for piece in pieces)


def test_headings_without_text_between_them_are_all_in_the_question() -> None:
    text = "## A\n\n### B\n\n" + "Words. " * 10 + "\n\n### C\n\n" + "Other. " * 10
    _, pieces, _ = _cut(text, 130)
    assert [piece.path for piece in pieces] == [("T", "A", "B"), ("T", "A", "C")]


def test_a_short_introduction_goes_with_what_it_introduces() -> None:
    text = "## A\n\nIntro.\n\n### B\n\n" + "Words. " * 15 + "\n\n### C\n\n" + "Other. " * 15
    _, pieces, _ = _cut(text, 160)
    assert [piece.path for piece in pieces] == [("T", "A"), ("T", "A", "C")]
    assert pieces[0].text.startswith("Intro.\n\n### B\n\nWords.")


def test_a_code_block_that_is_too_long_is_closed_and_opened_again() -> None:
    code = "\n".join(f"line {number} of the code" for number in range(20))
    _, pieces, _ = _cut(f"Before:\n\n```sql\n{code}\n```\n\nAfter.", 120)
    assert len(pieces) > 2
    for piece in pieces[1:-1]:
        assert piece.text.startswith("```sql\n")
        assert piece.text.endswith("\n```")
    kept = [line for piece in pieces for line in piece.text.split("\n") if line.startswith("line")]
    assert "\n".join(kept) == code


def test_a_line_of_code_that_is_too_long_leaves_its_list_closed_too() -> None:
    _, pieces, _ = _cut(f"- - ```\n    {'select ' * 30}\n    ```\n\n- Words.", 100)
    assert len(pieces) > 2
    assert all(piece.text.startswith("```\n") and "\n```" in piece.text for piece in pieces[1:])


def test_a_table_that_is_too_long_repeats_its_header() -> None:
    rows = "\n".join(f"| name {number} | value |" for number in range(20))
    _, pieces, _ = _cut(f"| a | b |\n|---|---|\n{rows}", 120)
    assert len(pieces) > 2
    assert all(piece.text.startswith("| a | b |\n|---|---|\n| name") for piece in pieces)


def test_what_a_list_held_stands_at_the_margin_when_it_begins_a_piece() -> None:
    text = "1. " + "First words. " * 8 + "\n\n   ```sql\n   select 1;\n   ```\n\n   " + "Last words. " * 8
    _, pieces, _ = _cut(text, 130)
    assert any("\n```sql\nselect 1;\n```" in f"\n{piece.text}" for piece in pieces[1:])


def test_what_announces_a_block_stays_with_it() -> None:
    text = "Words. " * 12 + "\n\nFor example:\n\n```sql\nselect 1;\nselect 2;\n```"
    _, pieces, _ = _cut(text, 110)
    assert pieces[-1].text.startswith("For example:")


def test_pieces_of_one_section_are_of_about_the_same_size() -> None:
    _, pieces, _ = _cut("\n\n".join("Ten chars." for _ in range(45)), 502)
    sizes = [len(piece.text) for piece in pieces]
    assert len(sizes) == 2
    assert max(sizes) < 1.2 * min(sizes)


def test_a_question_never_takes_more_than_a_third_of_the_room() -> None:
    questions = _questions(100)
    assert len(questions.ask(("标题" * 300, "middle" * 100, "end" * 100))) < 45


def test_a_limit_without_room_for_an_answer_says_which_would_do() -> None:
    with pytest.raises(RecipeError, match=r"give at least 41"):
        _questions(20)
    with pytest.raises(RecipeError, match="where the title goes"):
        Questions(lambda prompt, answer: 1, 100, "no place")
