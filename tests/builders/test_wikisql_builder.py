"""A data folder of WikiSQL holds what its files hold, in either format, with databases that answer its gold SQL."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from myna.builders.wikisql import build_wikisql
from myna.data.folder import open_folder
from myna.databases import Database
from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import schema_text
from myna.text2sql.values import ValueIndex, hints
from myna.text2sql.wikisql import WikiSQLQuery, official_sql, read_tables, tables_of, write_database
from wikisql_tables import REAL, needs_real_files

MODEL = Path(__file__).parents[2] / "examples" / "stories260K"
"""A model without a chat template."""

HEADER = ["Name", "No.", "Years in Toronto", "Club/Team"]


def table_of(number: int) -> dict[str, Any]:
    rows = [
        [f"Player {number}-{row}", row, f"19{row:02}–{row + 1:02}", ["Guard", "O'Brien"][row % 2]] for row in range(6)
    ]
    return {"id": f"1-{number}-1", "header": HEADER, "types": ["text", "real", "text", "text"], "rows": rows}


def question_of(number: int, row: int) -> dict[str, Any]:
    sql = {"sel": 0, "conds": [[1, 0, row], [3, 0, ["Guard", "O'Brien"][row % 2]]], "agg": [0, 3][row % 2]}
    return {"phase": 1, "table_id": f"1-{number}-1", "question": f"Who has number {row} in {number}?", "sql": sql}


def write_lines(path: Path, records: list[Any]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


def write_stem(folder: Path, stem: str, tables: range) -> None:
    write_lines(folder / f"{stem}.tables.jsonl", [table_of(number) for number in tables])
    write_lines(folder / f"{stem}.jsonl", [question_of(number, row) for number in tables for row in range(4)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "wikisql"
    folder.mkdir()
    write_stem(folder, "train", range(100, 140))
    write_stem(folder, "test_a", range(200, 205))
    write_lines(folder / "train.exec.jsonl", [question_of(number, 0) for number in range(100, 130)])
    return folder


def lines(folder: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]


def queries(records: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    return ((record["sql"]["gold"], record["sql"]["query"]["table_id"]) for record in records)


def test_a_chat_has_the_schema_the_question_and_sql_that_runs(source: Path, tmp_path: Path) -> None:
    built = build_wikisql(source, tmp_path / "out", test_file="test_a")
    assert built.counts == {"train": 160 - built.counts["valid"], "valid": built.counts["valid"], "test": 20}
    first = lines(built.folder, "test")[0]
    system, user, assistant = first["messages"]
    assert (system["role"], user["role"], assistant["role"]) == ("system", "user", "assistant")
    assert system["content"].endswith('"1-200-1"(Name text, "No." number, "Years in Toronto" text, "Club/Team" text)')
    assert user["content"] == "Who has number 0 in 200?"
    assert assistant["content"] == """SELECT Name FROM "1-200-1" WHERE "No." = 0 AND "Club/Team" = 'Guard'"""
    assert first["sql"] == {
        "database": "test_a",
        "gold": assistant["content"],
        "source": "wikisql",
        "line": 1,
        "query": {"table_id": "1-200-1", "sel": 0, "agg": 0, "conds": [[1, 0, 0], [3, 0, "Guard"]]},
    }
    folder = open_folder(built.folder)
    assert [len(folder.train), len(folder.valid or ()), len(folder.test or ())] == list(built.counts.values())


def test_the_text_is_that_of_the_mlx_example(source: Path, tmp_path: Path) -> None:
    built = build_wikisql(source, tmp_path / "out", test_file="test_a", format="text", sql_style="wikisql")
    second = lines(built.folder, "test")[1]
    assert second["text"] == (
        "table: 1-200-1\ncolumns: Name, No., Years in Toronto, Club/Team\nQ: Who has number 1 in 200?\n"
        "A: SELECT COUNT Name FROM 1-200-1 WHERE No. = 1 AND Club/Team = 'O'Brien'"
    )
    gold = second["sql"]["gold"]
    assert gold == """SELECT COUNT(Name) FROM "1-200-1" WHERE "No." = 1 AND "Club/Team" = 'O''Brien'"""


def test_hints_are_those_that_asking_would_give_for_a_database_of_the_one_table(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    odd = {
        "id": "2-1-1",
        "header": ["Name", "Points", "Code"],
        "types": ["text", "real", "text"],
        "rows": [["Ann Li", "7", 12], ["Bo Wu", "–", 3.0], ["Cy Xu", 2**70, None]],
    }
    asked = [
        "How many points has ann li?",
        "Who has 7 points?",
        "Who has the code 12?",
        "Who has the code 3.0?",
        "Who?",
    ]
    query = {"sel": 1, "conds": [], "agg": 0}
    write_lines(source / "odd.tables.jsonl", [odd])
    write_lines(source / "odd.jsonl", [{"table_id": "2-1-1", "question": each, "sql": query} for each in asked])
    built = build_wikisql(source, tmp_path / "out", test_file="odd", hints=True)
    assert json.loads((built.folder / "data.json").read_text("utf-8"))["prompt"] == {
        "samples": 0,
        "hints": True,
        "budget": 6_000,
    }
    write_database(tmp_path / "one.sqlite", read_tables(source / "odd.tables.jsonl"))
    with Database.open(tmp_path / "one.sqlite") as database, ValueIndex.open(database) as index:
        found = [hints(index.matches(question)) for question in asked]
        expected = [
            list(question_messages(schema_text(database.schema), question, hints=named))
            for question, named in zip(asked, found, strict=True)
        ]
    assert [record["messages"][:2] for record in lines(built.folder, "test")] == expected
    assert found == [("Name = 'Ann Li'",), ("Points = 7",), ("Code = '12'",), ("Code = '3.0'",), ()]


def test_hints_have_no_place_in_the_text_of_the_mlx_example(source: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--hints has no place in the text .*; use --format chat, or no hints"):
        build_wikisql(source, tmp_path / "out", format="text", hints=True)


def test_the_format_follows_the_model_unless_it_is_named(source: Path, tmp_path: Path) -> None:
    def keys(name: str, **options: Any) -> set[str]:
        return set(lines(build_wikisql(source, tmp_path / name, **options).folder, "train")[0])

    talking = tmp_path / "talking"
    shutil.copytree(MODEL, talking)
    (talking / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}", "utf-8")
    assert keys("a") == keys("b", model=str(talking)) == {"messages", "sql"}
    assert keys("c", model=str(MODEL)) == keys("d", model=str(talking), format="text") == {"text", "sql"}
    assert keys("e", model=str(MODEL), format="chat") == {"messages", "sql"}


def test_every_gold_query_runs_and_is_answered_alike_by_both_databases(source: Path, tmp_path: Path) -> None:
    out = build_wikisql(source, tmp_path / "out", test_file="test_a").folder
    databases = json.loads((out / "data.json").read_text("utf-8"))["databases"]
    assert databases == {"train": "databases/train.sqlite", "test_a": "databases/test_a.sqlite"}
    for split in ("train", "valid", "test"):
        for record in lines(out, split):
            facts = record["sql"]
            with closing(sqlite3.connect(out / databases[facts["database"]])) as database:
                assert len(database.execute(facts["gold"]).fetchall()) == 1
    for split in ("valid", "test"):
        stem = lines(out, split)[0]["sql"]["database"]
        with Database.open(out / databases[stem]) as ours, Database.open(out / "official" / f"{stem}.db") as official:
            tables = tables_of(ours.schema)
            for record in lines(out, split):
                query = WikiSQLQuery.of(record["sql"]["query"]["table_id"], record["sql"]["query"])
                (cell,) = ours.run(record["sql"]["gold"]).rows[0]
                answer = official.run(official_sql(query, tables[query.table_id])).rows[0]
                assert answer == (cell.lower() if isinstance(cell, str) else cell,)


def test_validation_without_a_file_of_its_own_has_tables_that_training_never_sees(source: Path, tmp_path: Path) -> None:
    built = build_wikisql(source, tmp_path / "out")
    sides = [{name for _, name in queries(lines(built.folder, split))} for split in ("train", "valid")]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 40
    assert built.counts["valid"] == 4 * len(sides[1])
    again = build_wikisql(source, tmp_path / "again")
    other = build_wikisql(source, tmp_path / "other", seed=1)
    assert lines(again.folder, "valid") == lines(built.folder, "valid") != lines(other.folder, "valid")
    assert any("tables of train.jsonl" in note and "never sees" in note for note in built.notes)


def test_without_a_test_file_a_note_says_what_to_choose(source: Path, tmp_path: Path) -> None:
    built = build_wikisql(source, tmp_path / "out")
    assert not (built.folder / "test.jsonl").exists()
    assert any("test_a, train, train.exec: choose one with --test-file" in note for note in built.notes)


def test_the_usual_names_are_found_and_others_are_chosen_by_flags(source: Path, tmp_path: Path) -> None:
    write_stem(source, "dev", range(300, 303))
    write_stem(source, "test", range(400, 402))
    usual = build_wikisql(source, tmp_path / "usual")
    assert usual.counts == {"train": 160, "valid": 12, "test": 8}
    assert not usual.notes
    chosen = build_wikisql(
        source, tmp_path / "chosen", train_file="train.exec", valid_file="dev.jsonl", test_file="test_a", valid_size=0
    )
    assert chosen.counts == {"train": 30, "test": 20}
    made = json.loads((chosen.folder / "data.json").read_text("utf-8"))
    assert made["source"]["files"] == {"train": "train.exec.jsonl", "test": "test_a.jsonl"}
    assert lines(chosen.folder, "train")[0]["sql"]["database"] == "train.exec"


def test_a_size_is_chosen_by_seed_and_within_every_larger_one(source: Path, tmp_path: Path) -> None:
    def numbers(name: str, **options: Any) -> list[int]:
        built = build_wikisql(source, tmp_path / name, test_file="test_a", **options)
        return [record["sql"]["line"] for record in lines(built.folder, "train")]

    small, large = numbers("small", size=10), numbers("large", train_size=50, size=3)
    assert (len(small), len(large)) == (10, 50)
    assert set(small) < set(large)
    assert small == sorted(small) == numbers("again", size=10) != numbers("other", size=10, seed=1)
    made = json.loads((tmp_path / "large" / "data.json").read_text("utf-8"))
    assert made["splits"]["valid"]["count"] == made["splits"]["test"]["count"] == 3
    assert made["skipped"]["test: beyond the 3 examples asked for"] == 17
    with closing(sqlite3.connect(tmp_path / "small" / "databases" / "train.sqlite")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    records = lines(tmp_path / "small", "train") + lines(tmp_path / "small", "valid")
    assert tables == {name for _, name in queries(records)}


def test_the_official_database_of_a_sample_serves_the_whole_source_file(source: Path, tmp_path: Path) -> None:
    out = build_wikisql(source, tmp_path / "out", test_file="test_a", size=1).folder
    with closing(sqlite3.connect(out / "official" / "test_a.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (5,)


def test_databases_and_official_files_are_made_again_with_their_data(source: Path, tmp_path: Path) -> None:
    out = build_wikisql(source, tmp_path / "out", test_file="test_a", size=5).folder
    assert build_wikisql(source, out, test_file="test_a", size=3).counts["train"] == 3
    (out / "official" / "results.txt").write_text("71.3")
    with pytest.raises(DataError, match=r"was not made with it \(official/results\.txt\)"):
        build_wikisql(source, out, test_file="test_a", size=3)
    assert (out / "official" / "results.txt").read_text() == "71.3"


def test_what_can_not_be_used_is_left_out_counted_and_named(source: Path, tmp_path: Path) -> None:
    with (source / "test_a.tables.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(table_of(200)) + "\n{}\n")
    bad: list[Any] = [question_of(999, 0), question_of(200, 0), [1]]
    bad[1]["sql"]["conds"] = [[7, 0, "x"]]
    unscorable = question_of(201, 0)
    unscorable["sql"]["conds"] = [[1, 0, "–"]]
    write_lines(source / "test_a.jsonl", [*bad, question_of(200, 1), unscorable])
    built = build_wikisql(source, tmp_path / "out", test_file="test_a")
    assert built.counts["test"] == 2
    assert built.skipped == {
        "test_a.jsonl: its table is not in test_a.tables.jsonl": 1,
        "test_a.jsonl: its query names a column that the table has not": 1,
        "test_a.jsonl: the line is no WikiSQL question": 1,
    }
    notes = "\n".join(built.notes)
    for part in (
        "test_a.tables.jsonl:6: table 1-200-1 stands here a second time",
        'test_a.tables.jsonl:7: a table needs an "id"',
        "test_a.tables.jsonl: 2 lines that are no table of their own",
        "test_a.jsonl:1: no table 1-999-1 in test_a.tables.jsonl",
        "test_a.jsonl:2: column 7 of a table of 4 columns",
        "test_a.jsonl:3: expected a JSON object",
        "the official evaluator can't run 1 gold queries; the first: test_a.jsonl:5: a real column",
    ):
        assert part in notes
    made = json.loads((built.folder / "data.json").read_text("utf-8"))
    assert made["skipped"] == dict(built.skipped)
    assert [SqlFacts.of(example) for example in open_folder(built.folder).test or ()] != [None, None]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"train_file": "tran"}, "there is no tran.jsonl; did you mean 'train'?; choose one of"),
        ({"test_file": "test"}, "there is no test.jsonl; did you mean 'test_a'?"),
        ({"valid_file": "dev"}, "choose one of test_a, train, train.exec with --valid-file"),
        ({"valid_file": "alone"}, "alone.jsonl needs its tables beside it, alone.tables.jsonl"),
        ({"test_file": "train"}, "train.jsonl can't be both train and test"),
        ({"test_file": "empty"}, "the file is empty"),
    ],
)
def test_a_file_that_is_not_there_is_an_error_that_says_which_are(
    source: Path, tmp_path: Path, options: dict[str, Any], part: str
) -> None:
    write_lines(source / "alone.jsonl", [question_of(1, 1)])
    if "empty" in options.values():
        write_stem(source, "empty", range(0))
    with pytest.raises(DataError) as caught:
        build_wikisql(source, tmp_path / "out", **options)
    assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_file_without_a_usable_line_is_an_error_that_names_the_first(source: Path, tmp_path: Path) -> None:
    write_lines(source / "train.exec.jsonl", [question_of(999, 0)])
    with pytest.raises(
        DataError, match=r"no line of it can be used; .*train\.exec\.jsonl:1: no table 1-999-1 in train"
    ):
        build_wikisql(source, tmp_path / "out", train_file="train.exec")


def test_a_folder_without_wikisql_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; give the one with WikiSQL's train\.jsonl"):
        build_wikisql(tmp_path / "none", tmp_path / "out")
    (tmp_path / "questions.jsonl").touch()
    with pytest.raises(DataError, match=r"expected WikiSQL's STEM\.jsonl .*; found: questions\.jsonl"):
        build_wikisql(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"size": 0}, "--size 0: expected at least 1 example"),
        ({"train_size": 0}, "--train-size 0: expected at least 1 example"),
        ({"valid_size": -1}, "--valid-size -1: expected at least 0 examples"),
    ],
)
def test_a_size_that_leaves_nothing_is_an_error(source: Path, tmp_path: Path, options: Any, part: str) -> None:
    with pytest.raises(RecipeError, match=part):
        build_wikisql(source, tmp_path / "out", **options)


def test_a_source_of_one_table_trains_without_validation(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    write_stem(folder, "train", range(1))
    built = build_wikisql(folder, tmp_path / "out")
    assert built.counts == {"train": 4}
    assert any("all questions ask one table" in note for note in built.notes)


@needs_real_files
def test_five_hundred_real_questions_of_each_split_make_a_folder_that_answers(tmp_path: Path) -> None:
    built = build_wikisql(REAL, tmp_path / "out", train_file="test_a", test_file="test_a.exec", size=500)
    assert built.counts == {"train": 500, "valid": 500, "test": 500}
    by_id = {table.id: table for table in read_tables(REAL / "test_a.tables.jsonl")}
    with (
        closing(sqlite3.connect(built.folder / "databases" / "test_a.exec.sqlite")) as ours,
        closing(sqlite3.connect(built.folder / "official" / "test_a.exec.db")) as official,
    ):
        for example in open_folder(built.folder).test or ():
            facts = SqlFacts.of(example)
            assert facts is not None
            assert facts.query is not None
            query = WikiSQLQuery.of(facts.query["table_id"], facts.query)
            answer = [cell.lower() if isinstance(cell, str) else cell for (cell,) in ours.execute(facts.gold)]
            assert answer == [cell for (cell,) in official.execute(official_sql(query, by_id[query.table_id]))]


@needs_real_files
@pytest.mark.slow
def test_all_real_questions_go_into_a_folder(tmp_path: Path) -> None:
    built = build_wikisql(REAL, tmp_path / "out", train_file="train", test_file="test_a")
    assert built.counts["train"] + built.counts["valid"] == 49_901
    assert built.counts["test"] == 7_552
    assert 0.05 < built.counts["valid"] / 49_901 < 0.15
    assert not built.skipped
    assert any("test: the official evaluator can't run 3 gold queries" in note for note in built.notes)
    folder = open_folder(built.folder)
    assert [len(folder.train), len(folder.valid or ()), len(folder.test or ())] == list(built.counts.values())
