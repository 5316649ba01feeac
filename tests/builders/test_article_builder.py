"""From an index or a folder of Markdown to a data folder of question and answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.builders.articles import build_articles
from myna.builders.articles.cleaning import clean
from myna.builders.articles.index import LeftOut, Listed, list_articles
from myna.builders.articles.repeats import Repeats
from myna.builders.lengths import estimated_tokens
from myna.builders.writer import Built
from myna.data.folder import open_folder
from myna.errors import DataError, RecipeError
from myna.prompts.builder import PromptBuilder

SHARED = Path(__file__).parents[3] / "shared" / "data"
ARTICLES = SHARED / "articles"
needs_articles = pytest.mark.skipif(not ARTICLES.exists(), reason="the real articles are not here")

INDEX = """# A blog
##### 1.md   [《Not in the index》](1.md)
### 六、所有文档如下
----
##### 2024/1.md   [《PolarDB 试用 - `7*24` [NEW]》](2024/1.md)
##### PolarDB%20docs/2.md   [《第二》](PolarDB%20docs/2.md)
##### 2024/3.md   [《Missing》](2024/3.md)
##### ../../etc/passwd   [《Outside》](../../etc/passwd)
##### /etc/passwd   [《Absolute》](/etc/passwd)
##### %2e%2e/secret.md   [《Escaped》](%2e%2e/secret.md)
##### out.md   [《Linked outside》](out.md)
##### x%00y.md   [《Zero》](x%00y.md)
##### a.md   [《Elsewhere》](https://example.org/a.md)
##### 2024/1.md   [《Twice》](2024/1.md)
"""


@pytest.fixture
def blog(tmp_path: Path) -> Path:
    folder = tmp_path / "blog"
    (folder / "2024").mkdir(parents=True)
    (folder / "PolarDB docs").mkdir()
    (folder / "README.md").write_text(INDEX, "utf-8")
    (folder / "1.md").write_text("Not for the index, which begins further down.", "utf-8")
    (folder / "2024" / "1.md").write_text("## PolarDB 试用\n\n正文第一段, 说明如何安装数据库插件.\n", "utf-8")
    (folder / "PolarDB docs" / "2.md").write_text("第二篇文章的正文, 说明如何配置参数文件.\n", "utf-8")
    (tmp_path / "secret.md").write_text("A secret that is nobody's business at all.", "utf-8")
    (folder / "out.md").symlink_to(tmp_path / "secret.md")
    return folder


def _messages(folder: Path) -> list[tuple[str, str]]:
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    pairs = [json.loads(line)["messages"] for line in lines]
    return [(question["content"], answer["content"]) for question, answer in pairs]


def _build(source: Path, out: Path, **settings: object) -> Built:
    return build_articles(source, out, valid_share=0, test_share=0, **settings)  # type: ignore[arg-type]


# The index


def test_an_index_gives_titles_and_files_and_refuses_what_leads_out_of_its_folder(blog: Path) -> None:
    found = list(list_articles(blog / "README.md", None))
    assert [(one.name, one.title) for one in found if isinstance(one, Listed)] == [
        ("2024/1.md", "PolarDB 试用 - `7*24` [NEW]"),
        ("PolarDB docs/2.md", "第二"),
    ]
    reasons = {one.title: one.reason for one in found if isinstance(one, LeftOut)}
    outside = "the path leads out of the folder"
    assert reasons == {
        "Missing": "the file is missing",
        "Outside": outside,
        "Absolute": outside,
        "Escaped": outside,
        "Linked outside": outside,
        "Zero": "the path is no file's name",
        "Elsewhere": "the index links to another site",
        "Twice": "listed twice",
    }


def test_nothing_from_outside_of_the_folder_is_written(blog: Path, tmp_path: Path) -> None:
    built = _build(blog / "README.md", tmp_path / "out")
    assert "secret" not in (tmp_path / "out" / "train.jsonl").read_text("utf-8")
    assert built.skipped["articles: the path leads out of the folder"] == 4
    assert built.skipped["articles: the file is missing"] == 1
    assert any("../../etc/passwd (README.md:8)" in note for note in built.notes)
    in_folder = _build(blog, tmp_path / "folder")
    assert in_folder.skipped["articles: the path leads out of the folder"] == 1


def test_a_marker_says_where_the_index_begins(blog: Path) -> None:
    names = [one.name for one in list_articles(blog / "README.md", "# A blog") if isinstance(one, Listed)]
    assert names == ["1.md", "2024/1.md", "PolarDB docs/2.md"]
    with pytest.raises(DataError, match=r"README\.md: no line holds the marker 'nowhere'"):
        list(list_articles(blog / "README.md", "nowhere"))
    with pytest.raises(DataError, match="a marker needs an index file"):
        list_articles(blog, "# A blog")


def test_a_list_of_links_is_an_index_too(tmp_path: Path) -> None:
    (tmp_path / "SUMMARY.md").write_text("* [One](one.md)\n    * [Two](<two (2).md> 'a title')\nSee [x](one.md) too.\n")
    (tmp_path / "one.md").write_text("First.")
    (tmp_path / "two (2).md").write_text("Second.")
    found = [one for one in list_articles(tmp_path / "SUMMARY.md", None) if isinstance(one, Listed)]
    assert [(one.name, one.title) for one in found] == [("one.md", "One"), ("two (2).md", "Two")]


def test_a_file_that_is_really_called_with_a_percent_sign_is_found(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("- [Share](50%25.md)\n- [Odd](100%.md)\n- [Part](50%25.md#a-part)\n")
    (tmp_path / "50%.md").write_text("Half.")
    (tmp_path / "100%.md").write_text("All.")
    found = list(list_articles(tmp_path / "README.md", None))
    assert [(one.name, type(one)) for one in found] == [("50%.md", Listed), ("100%.md", Listed), ("50%.md", LeftOut)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README.md", "Just prose.", "no index entry in it"),
        ("README.md", "", "no index entry in it"),
        ("nowhere.md", None, "no such file or folder"),
        ("notes.md", "\xff\xfe\xfa", "not UTF-16"),
    ],
)
def test_what_is_no_index_is_said(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        _build(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_markdown_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Markdown in it"):
        _build(tmp_path, tmp_path / "out")


# Cleaning


def _clean(text: str, title: str | None = "T") -> str:
    return clean(text, title=title, name="name").text


def test_front_matter_says_the_title_and_goes() -> None:
    article = clean('---\nid: x\ntitle: "A: b"\ntags:\n  - c\n---\n\n# A: b\n\nText.\n', title=None, name="name")
    assert (article.title, article.text) == ("A: b", "Text.")
    assert clean('+++\ntitle = "T"\n+++\nText.', title=None, name="name").title == "T"


def test_a_rule_with_prose_below_it_is_no_front_matter() -> None:
    assert _clean("---\nSome prose, and more of it.\n---\nText.\n").startswith("Some prose")


def test_the_title_is_that_of_the_index_else_the_first_heading_else_the_name() -> None:
    assert clean("# **First** [heading](x)\n\nText.", title="Index", name="name").title == "Index"
    assert clean("# **First** [heading](x)\n\nText.", title=None, name="name").title == "First heading"
    assert clean("Text.\n\n## Second", title=None, name="name").title == "name"


def test_images_badges_and_comments_go_but_not_from_code() -> None:
    text = (
        '![badge](x.svg) [![b](y.svg)](https://b)\n\nSee ![fig (1)](a(1).png "t") here.<!-- c -->\n\n'
        '<p align="center">\n<img src="x.png" alt="none">\n</p>\n\n`![kept](x.png)`\n\n```md\n![kept](too.png)\n```\n'
    )
    assert _clean(text) == "See  here.\n\n`![kept](x.png)`\n\n```md\n![kept](too.png)\n```"


def test_a_list_item_that_was_an_image_goes_with_its_mark() -> None:
    assert _clean("1. ![x](y.png)\n2. Text.\n\n- ![z](z.png)\n\n  Below.\n") == "2. Text.\n\n-\n\n  Below."


def test_link_farms_navigation_and_what_announces_them_go() -> None:
    text = (
        "[Home](a.md) | [Docs](b.md)\n\n[TOC]\n\nText with a [link](c.md).\n\nSee also:\n\n- [One](1.md)\n"
        '- 2. https://two.example\n\n## References\n\n* [《甲》](../1.md)\n\n#### [About me](https://me "hash")\n'
    )
    assert _clean(text) == "Text with a [link](c.md)."


def test_a_list_that_says_something_about_its_links_stays() -> None:
    text = "- [CMake](https://cmake.org): 3.8 or newer"
    assert _clean(text) == text


def test_a_blogs_lines_about_author_and_date_go() -> None:
    about = "### 作者   \ndigoal\n\n### 日期\n2024-10-08\n\n### 标签\nPostgreSQL , 指南\n\n----\n\n"
    text = f"## T   \n   \n{about}## 背景\n## 正文\n内容  \n"
    assert _clean(text) == "## 正文\n内容"


def test_empty_sections_go_but_not_those_with_text_further_down() -> None:
    assert _clean("## A\n\n### B\n\nText.\n\n### C\n\n## D\n\n#### E\n") == "## A\n\n### B\n\nText."


def test_columns_of_tables_and_line_ends_hold_no_needless_space() -> None:
    assert (
        _clean("| a      | b   |\n| ------ | :-----: |\n| x y    |     |   \n")
        == "| a | b |\n| --- | :---: |\n| x y | |"
    )


def test_what_stands_between_colons_is_one_block() -> None:
    (block,) = clean(":::note\nOne.\n\nTwo.\n:::\n", title="T", name="n").blocks
    assert block.kind == "container"


# The data folder


def test_chinese_stays_readable_and_the_folder_opens(blog: Path, tmp_path: Path) -> None:
    _build(blog / "README.md", tmp_path / "out")
    content = (tmp_path / "out" / "train.jsonl").read_text("utf-8")
    assert "正文第一段" in content
    assert "\\u" not in content
    assert _messages(tmp_path / "out") == [
        ("PolarDB 试用 - `7*24` [NEW]", "## PolarDB 试用\n\n正文第一段, 说明如何安装数据库插件."),
        ("第二", "第二篇文章的正文, 说明如何配置参数文件."),
    ]
    assert len(open_folder(tmp_path / "out").train) == 1  # and one that was taken for validation
    made = json.loads((tmp_path / "out" / "data.json").read_text("utf-8"))
    assert made["source"]["builder"] == "articles"
    assert made["source"]["tokens"] == "estimated"


def test_match_looks_at_title_and_path_in_any_case(blog: Path, tmp_path: Path) -> None:
    built = _build(blog / "README.md", tmp_path / "out", match="polardb")
    assert [question for question, _ in _messages(tmp_path / "out")] == ["PolarDB 试用 - `7*24` [NEW]", "第二"]
    assert not built.skipped.get("articles: the file is missing")
    _build(blog, tmp_path / "folder", match="试用")
    assert [question for question, _ in _messages(tmp_path / "folder")] == ["PolarDB 试用"]
    with pytest.raises(DataError, match="no article matches 'oracle'"):
        _build(blog / "README.md", tmp_path / "none", match="oracle")


def test_an_instruction_says_how_the_title_is_asked_for(blog: Path, tmp_path: Path) -> None:
    _build(blog / "README.md", tmp_path / "out", instruction="请介绍《{title}》")
    assert _messages(tmp_path / "out")[1][0] == "请介绍《第二》"


def test_every_encoding_that_can_be_told_is_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    text = "# 标题{}\n\n这是正文{}，说明如何安装和配置数据库。\n"
    encodings = ("utf-8", "utf-8-sig", "gb18030", "utf-16")
    for number, encoding in enumerate(encodings):
        (source / f"{number}.md").write_bytes(text.format(number, number).encode(encoding))
    (source / "latin.md").write_bytes("# Café\n\nDéjà vu, größer, naïve façade.\n".encode("latin-1"))
    (source / "binary.md").write_bytes(bytes(range(256)) * 4)
    (source / "empty.md").write_text("\n")
    built = _build(source, tmp_path / "out")
    assert [question for question, _ in _messages(tmp_path / "out")] == [f"标题{number}" for number in range(4)]
    assert built.skipped == {"articles: it is neither UTF-8 nor GB18030": 2, "articles: it is empty": 1}


def test_a_paragraph_that_ends_many_articles_is_no_part_of_them(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(4):
        (source / f"{number}.md").write_text(f"# T{number}\n\nThe text of number {number}.\n\nFollow me, the author!\n")
    _build(source, tmp_path / "out")
    assert [answer for _, answer in _messages(tmp_path / "out")] == [
        f"The text of number {number}." for number in range(4)
    ]


def test_repeats_are_dropped_and_near_identical_texts_of_other_articles_too() -> None:
    repeats, text = Repeats(), " ".join(f"word{number}" for number in range(200))
    assert repeats.first_time(text, 0)
    assert not repeats.first_time(f"  {text.upper()}\n", 0)
    assert not repeats.first_time(text.replace("word77", "other"), 1)
    assert repeats.first_time(text.replace("word78", "other"), 0)
    assert repeats.first_time(text.replace("word1", "nothing like it at all"), 2)
    assert repeats.first_time("version 1.2", 3)
    assert repeats.first_time("version 1.3", 4)


def test_the_same_title_twice_makes_two_questions(tmp_path: Path) -> None:
    for name in ("agent", "stack"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.md").write_text(f"# Architecture\n\nThat of the {name} is like this.\n")
    _build(tmp_path / "in", tmp_path / "out")
    assert [question for question, _ in _messages(tmp_path / "out")] == ["Architecture", "Architecture (stack)"]


def test_all_pieces_of_an_article_are_on_one_side_and_a_seed_decides_which(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(60):
        parts = "\n\n".join(f"## Part {part}\n\n{f'Words {number} {part}. ' * 12}" for part in range(3))
        (source / f"{number}.md").write_text(f"# Article {number}\n\n{parts}\n")

    def sides(seed: int, out: str) -> dict[str, str]:
        build_articles(source, tmp_path / out, max_seq_length=240, valid_share=0.2, test_share=0.2, seed=seed)
        found: dict[str, str] = {}
        for file in sorted((tmp_path / out).glob("*.jsonl")):
            for line in file.read_text().splitlines():
                assert found.setdefault(json.loads(line)["source"], file.stem) == file.stem
        return found

    first = sides(0, "a")
    assert len(first) == 60
    assert set(first.values()) == {"train", "valid", "test"}
    assert sides(0, "b") == first
    assert sides(1, "c") != first
    (source / "new.md").write_text("# New\n\nAnother article, which moves no other.\n")
    assert {name: side for name, side in sides(0, "d").items() if name != "new.md"} == first


def test_settings_that_cannot_be_met_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        build_articles(tmp_path, tmp_path / "out", valid_share=0.5, test_share=0.5)
    with pytest.raises(RecipeError, match="leaves no room"):
        build_articles(tmp_path, tmp_path / "out", max_seq_length=64)


# Real articles


@needs_articles
@pytest.mark.parametrize(
    ("source", "articles"),
    [("digoal_blog_sample/README.md", 2), ("polardb_pg_docs/INDEX.generated.md", 96), ("cloudnative_pg_docs", 81)],
)
def test_all_real_articles_are_read(tmp_path: Path, source: str, articles: int) -> None:
    built = build_articles(ARTICLES / source, tmp_path / "out", valid_share=0, test_share=0)
    assert built.notes[0].startswith(f"{articles} articles")
    pairs = _messages(tmp_path / "out")
    assert len({question for question, _ in pairs}) == len(pairs) == built.counts["train"]
    text = "\n".join(answer for _, answer in pairs)
    assert "digoal_weixin" not in text
    assert "SPDX-License-Identifier" not in text
    assert all(estimated_tokens(question, answer) <= 2048 for question, answer in pairs)


@needs_articles
@pytest.mark.skipif(not (SHARED / "tokenizers").exists(), reason="the real tokenizers are not here")
@pytest.mark.parametrize("name", ["qwen2.5", "llama2"])
def test_examples_fit_as_training_counts_them_exactly_or_estimated(tmp_path: Path, name: str) -> None:
    builder = PromptBuilder.load(SHARED / "tokenizers" / name)
    source = ARTICLES / "polardb_pg_docs" / "PolarDB for PostgreSQL" / "PolarDB-Stack-Storage"
    exact = _build(source, tmp_path / "exact", max_seq_length=700, model=str(SHARED / "tokenizers" / name))
    estimated = _build(source, tmp_path / "estimated", max_seq_length=700)
    for folder in ("exact", "estimated"):
        for example in open_folder(tmp_path / folder).train:
            assert builder.samples(example, max_tokens=700, long_examples="error").samples
    assert exact.counts["train"] <= estimated.counts["train"]
