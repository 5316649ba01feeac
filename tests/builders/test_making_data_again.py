"""Making data again replaces what was made of the same source, and never deletes anything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from myna.builders.articles.build import build_articles
from myna.builders.files import build_files
from myna.errors import DataError


def rows(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"prompt": f"{n}?", "completion": f"{n}!"}) + "\n" for n in range(count)))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_source_with_other_settings_replaces_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = rows(tmp_path / "rows.jsonl", 60), tmp_path / "data"
    build_files([source], out)
    first = contents(out)
    build_files([source], out)
    assert contents(out) == first
    (out / ".DS_Store").write_bytes(b"left by the Finder")
    monkeypatch.chdir(tmp_path)
    built = build_files([Path("rows.jsonl")], out, size=20, seed=5)  # the same file, named from here
    assert sum(built.counts.values()) == 20
    assert sum(content.count(b"\n") for name, content in contents(out).items() if name.endswith(".jsonl")) == 20


def test_data_of_another_source_is_left_alone_and_named(tmp_path: Path) -> None:
    out = tmp_path / "data"
    build_files([rows(tmp_path / "rows.jsonl", 30)], out)
    before = contents(out)
    with pytest.raises(DataError, match=r"made by myna data files of .*rows\.jsonl; name another folder with --out"):
        build_files([rows(tmp_path / "others.jsonl", 30)], out)
    (tmp_path / "blog").mkdir()
    (tmp_path / "blog" / "one.md").write_text("# One\n\nAll there is to be said about one thing.\n")
    with pytest.raises(DataError, match="other data, made by myna data files; name another folder"):
        build_articles(tmp_path / "blog", out)
    assert contents(out) == before


def add_a_test(folder: Path) -> None:
    (folder / "test.jsonl").write_text('{"prompt": "mine?", "completion": "mine"}\n')


def correct_a_line(folder: Path) -> None:
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"prompt": "mine?", "completion": "mine"}\n')


def keep_a_glossary(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "glossary.yaml").write_text("tables: {}\n")


def link_a_folder(folder: Path) -> None:
    (folder / "linked").symlink_to(folder.parent)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (add_a_test, "test.jsonl"),
        (correct_a_line, "train.jsonl, which was changed"),
        (keep_a_glossary, "mine/glossary.yaml"),
        (link_a_folder, "linked"),
    ],
)
def test_what_a_person_put_there_is_never_deleted(tmp_path: Path, change: Callable[[Path], None], named: str) -> None:
    source, out = rows(tmp_path / "rows.jsonl", 30), tmp_path / "data"
    build_files([source], out, test_share=0.0)
    change(out)
    before = contents(out)
    with pytest.raises(DataError) as refused:
        build_files([source], out, test_share=0.0)
    assert f"was not made with it ({named}); move that away, name another folder with --out" in str(refused.value)
    assert contents(out) == before
    shutil.rmtree(out)
    build_files([source], out, test_share=0.0)


def test_what_no_builder_made_is_left_alone(tmp_path: Path) -> None:
    source, out = rows(tmp_path / "rows.jsonl", 30), tmp_path / "data"
    out.mkdir()
    (out / "train.jsonl").write_text('{"text": "mine"}\n')
    for note in (None, "[]", "{", '{"source": "a book"}'):
        if note is not None:
            (out / "data.json").write_text(note)
        with pytest.raises(DataError, match="exists and was not made by myna data; name a new folder with --out"):
            build_files([source], out)
    assert (out / "train.jsonl").read_text() == '{"text": "mine"}\n'
