import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from myna.builders.spider import build_spider
from myna.data.folder import open_folder, open_split
from myna.databases import Database
from myna.errors import DataError, RecipeError
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.prompt import question_messages
from myna.text2sql.spider import exact_set_match, read_schemas

MODEL = Path(__file__).parents[2] / "examples" / "stories260K"
"""A model without a chat template."""
SPIDER = Path(__file__).parents[3] / "shared" / "data" / "spider"


def write_spider(folder, *, databases=("ships", "towns", "birds"), dev=()):
    """A small Spider: for each database a table with the same columns, and four questions."""
    folder.mkdir(exist_ok=True)
    for name in {*databases, *dev}:
        (folder / "database" / name).mkdir(parents=True)
        connection = sqlite3.connect(folder / "database" / name / f"{name}.sqlite")
        connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, name TEXT, size REAL)")
        connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", [(1, "Tony", 1.5), (2, "Ann's", 2.0)])
        connection.commit()
        connection.close()
    entries = [description(name) for name in [*databases, *dev]]
    (folder / "tables.json").write_text(json.dumps(entries), "utf-8")
    write_questions(folder / "train_spider.json", [each for name in databases for each in questions(name)])
    if dev:
        write_questions(folder / "dev.json", [each for name in dev for each in questions(name)])
    return folder


def description(name):
    return {
        "db_id": name,
        "table_names_original": [name],
        "column_names_original": [[-1, "*"], [0, "id"], [0, "name"], [0, "size"]],
        "column_types": ["text", "number", "text", "number"],
        "primary_keys": [1],
        "foreign_keys": [],
    }


def questions(name):
    golds = [
        f"SELECT count(*)  FROM {name} WHERE size  >  1.7",
        f'SELECT size FROM {name}\tWHERE name = "Tony" ;',
        f'SELECT size FROM {name} WHERE name = "Ann\'s"',
        f"SELECT name FROM {name} ORDER BY size",
    ]
    return [{"db_id": name, "question": f"Question {n} on {name}?", "query": gold} for n, gold in enumerate(golds, 1)]


def write_questions(path, entries):
    path.write_text(json.dumps(entries, ensure_ascii=False), "utf-8")


def lines(folder, split):
    with (folder / f"{split}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_a_line_is_a_conversation_with_the_schema_and_its_facts(tmp_path):
    built = build_spider(write_spider(tmp_path / "spider"), tmp_path / "data", valid_share=0, test_share=0)
    assert dict(built.counts) == {"train": 12}
    second = lines(tmp_path / "data", "train")[1]
    schema = "ships(id number key, name text ('Tony', 'Ann''s'), size number (1.5))"
    assert second["messages"] == [
        *question_messages(schema, "Question 2 on ships?"),
        {"role": "assistant", "content": "SELECT size FROM ships WHERE name = 'Tony'"},
    ]
    gold = 'SELECT size FROM ships\tWHERE name = "Tony" ;'
    assert second["sql"] == {"database": "ships", "gold": gold, "source": "spider", "line": 2}


def test_the_folder_opens_and_its_databases_answer(tmp_path):
    build_spider(write_spider(tmp_path / "spider"), tmp_path / "data")
    data = open_folder(tmp_path / "data")
    made = json.loads((tmp_path / "data" / "data.json").read_text("utf-8"))
    assert data.valid is not None
    for example in [*data.train, *data.valid, *open_split(tmp_path / "data", "test")]:
        facts = SqlFacts.of(example)
        assert facts is not None
        path = tmp_path / "data" / made["databases"][facts.database]
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        assert connection.execute(example.messages[-1]["content"]).fetchall()
        connection.close()


def test_no_database_is_in_two_splits_and_each_split_has_one(tmp_path):
    source = write_spider(tmp_path / "spider", databases=[f"base{n}" for n in range(6)])
    for seed in range(2):
        build_spider(source, tmp_path / "data", seed=seed)
        found = {
            split: {line["sql"]["database"] for line in lines(tmp_path / "data", split)}
            for split in ("train", "valid", "test")
        }
        assert {split: len(names) for split, names in found.items()} == {"train": 4, "valid": 1, "test": 1}
        assert len(set.union(*found.values())) == 6


def test_dev_becomes_the_test_split(tmp_path):
    source = write_spider(tmp_path / "spider", dev=("boats",))
    built = build_spider(source, tmp_path / "data")
    assert dict(built.counts) == {"train": 8, "valid": 4, "test": 4}
    assert {line["sql"]["database"] for line in lines(tmp_path / "data", "test")} == {"boats"}
    assert lines(tmp_path / "data", "test")[3]["sql"]["line"] == 4


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_choice(tmp_path):
    source = write_spider(tmp_path / "spider", databases=[f"base{n}" for n in range(4)])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_spider(source, tmp_path / name, size=3, seed=seed)
    contents = {
        name: {path.name: path.read_bytes() for path in sorted((tmp_path / name).glob("*.json*"))} for name in "abc"
    }
    assert contents["a"] == contents["b"]
    assert contents["a"]["train.jsonl"] != contents["c"]["train.jsonl"]


def test_size_bounds_each_split_and_a_larger_one_holds_the_smaller(tmp_path):
    source = write_spider(tmp_path / "spider", databases=[f"base{n}" for n in range(4)])
    small = build_spider(source, tmp_path / "small", size=2)
    build_spider(source, tmp_path / "large", size=5)
    assert dict(small.counts) == {"train": 2, "valid": 2, "test": 2}
    assert small.skipped["train: beyond the 2 examples asked for"] == 6
    for split in ("train", "valid"):
        kept = {line["messages"][1]["content"] for line in lines(tmp_path / "small", split)}
        assert kept <= {line["messages"][1]["content"] for line in lines(tmp_path / "large", split)}


def test_text_for_models_without_a_chat_template(tmp_path):
    source = write_spider(tmp_path / "spider")
    build_spider(source, tmp_path / "data", model=str(MODEL), samples=0)
    first = lines(tmp_path / "data", "train")[0]
    name = first["sql"]["database"]
    assert first["text"].startswith(
        f"{name}(id number key, name text, size number)\nQ: Question 1 on {name}?\nA: SELECT COUNT(*) FROM"
    )
    assert "messages" not in first


def test_what_cannot_be_used_is_left_out_with_a_count_by_reason(tmp_path):
    source = write_spider(tmp_path / "spider")
    (source / "database" / "rotten").mkdir()
    (source / "database" / "rotten" / "rotten.sqlite").write_bytes(b"no database" * 1000)
    write_questions(
        source / "train_others.json",
        [
            {"db_id": "gone", "question": "q", "query": "SELECT 1"},
            {"db_id": "gone", "question": "q2", "query": "SELECT 1"},
            {"db_id": "rotten", "question": "q", "query": "SELECT 1"},
            {"db_id": "../../etc/passwd", "question": "q", "query": "SELECT 1"},
            {"db_id": "ships", "question": "q", "query": "SELECT nothing FROM ships"},
            {"db_id": "ships", "question": "q", "query": "DROP TABLE ships"},
            {"db_id": "ships", "question": "", "query": "SELECT 1"},
            {"db_id": "ships", "query": "SELECT 1"},
            "no object",
        ],
    )
    built = build_spider(source, tmp_path / "data", valid_share=0, test_share=0)
    assert dict(built.counts) == {"train": 12}
    assert dict(built.skipped) == {
        "database missing: gone": 2,
        "database can't be opened: rotten": 1,
        "its db_id is not the name of a folder": 1,
        "its gold SQL does not run": 2,
        "no db_id, question or query": 3,
    }
    assert any("train_others.json:5 (ships)" in note and "nothing" in note for note in built.notes)
    assert sorted(path.name for path in (tmp_path / "data" / "databases").iterdir()) == ["birds", "ships", "towns"]


def test_the_official_evaluators_find_their_files(tmp_path):
    source = write_spider(tmp_path / "spider", databases=("ships", "towns"))
    entries = json.loads((source / "tables.json").read_text("utf-8"))
    (source / "tables.json").write_text(json.dumps([entries[0], description("unused")]), "utf-8")
    built = build_spider(source, tmp_path / "data", valid_share=0, test_share=0)
    assert (tmp_path / "data" / "databases" / "ships" / "ships.sqlite").is_file()
    assert list(read_schemas(tmp_path / "data" / "official" / "tables.json")) == ["ships"]
    assert any("towns" in note and "tables.json" in note for note in built.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_spider.json", "{", "can't be read as JSON"),
        ("train_spider.json", '{"a": 1}', "expected a list"),
        ("train_spider.json", "[]", "nothing was written"),
        ("tables.json", "[", "can't be read as JSON"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    source = write_spider(tmp_path / "spider")
    (source / name).write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        build_spider(source, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_is_not_spider_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        build_spider(tmp_path / "nowhere", tmp_path / "data")
    with pytest.raises(DataError, match=r"train_spider\.json"):
        build_spider(tmp_path, tmp_path / "data")


@pytest.mark.parametrize("setting", [{"size": 0}, {"samples": -1}, {"valid_share": 1.0}, {"test_share": -0.1}])
def test_settings_that_cannot_be_are_refused(tmp_path, setting):
    with pytest.raises(RecipeError):
        build_spider(write_spider(tmp_path / "spider"), tmp_path / "data", **setting)


def test_an_older_folder_of_spider_is_replaced_and_no_other(tmp_path):
    source = write_spider(tmp_path / "spider")
    build_spider(source, tmp_path / "data")
    build_spider(source, tmp_path / "data", size=1)
    assert len(lines(tmp_path / "data", "train")) == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(DataError, match="was not made by myna data"):
        build_spider(source, tmp_path / "mine")


@pytest.mark.slow
@pytest.mark.skipif(not SPIDER.is_dir(), reason="the shared data are not here")
def test_the_whole_of_spider_is_built_and_its_answers_are_its_gold(tmp_path):
    built = build_spider(SPIDER, tmp_path / "data")
    assert sum(built.counts.values()) == 6901
    assert built.skipped == {
        "database missing: baseball_1": 82,
        "database missing: soccer_1": 14,
        "its gold SQL does not run": 3,
    }
    made = json.loads((tmp_path / "data" / "data.json").read_text("utf-8"))
    by_database, seen = {}, Counter()
    for split in ("train", "valid", "test"):
        for line in lines(tmp_path / "data", split):
            by_database.setdefault(line["sql"]["database"], []).append((split, line))
    for name, found in by_database.items():
        assert len({split for split, _ in found}) == 1
        path = tmp_path / "data" / made["databases"][name]
        with Database.open(path) as database, Database.open(path, double_quoted_strings=True) as as_sqlite:
            for gold, answer in {(line["sql"]["gold"], line["messages"][2]["content"]) for _, line in found}:
                expected = as_sqlite.run(gold)
                assert same_result(expected, database.run(answer), ordered=is_ordered(gold, "sqlite"))
                assert exact_set_match(gold, answer, database.schema)
                seen[name] += 1
    assert len(seen) == 138
