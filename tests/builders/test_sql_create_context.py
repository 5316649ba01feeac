import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.builders.sql_create_context import SYSTEM_PROMPT, build_sql_create_context, schema_key
from myna.data.folder import open_folder
from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sql_create_context" / "sql_create_context.jsonl"


def row(number, **changed):
    return {
        "question": f"How many rows has table {number}?",
        "context": f"CREATE TABLE t{number} (name VARCHAR, size INTEGER)",
        "answer": f"SELECT COUNT(*) FROM t{number}",
        **changed,
    }


def write(path, rows):
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    else:
        path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), "utf-8")
    return path


def lines(folder, split):
    path = folder / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@pytest.mark.parametrize("name", ["data.jsonl", "data.json"])
def test_a_line_is_worded_as_in_the_tutorial(tmp_path, name):
    file = write(tmp_path / name, [row(1, question="多少行?")])
    build_sql_create_context(file, tmp_path / "data", valid_share=0, test_share=0)
    (line,) = lines(tmp_path / "data", "train")
    assert line["messages"] == [
        {
            "role": "system",
            "content": "You are an text to SQL query translator. Users will ask you questions in English and you will "
            "generate a SQL query based on the provided SCHEMA.\nSCHEMA:\nCREATE TABLE t1 (name VARCHAR, size INTEGER)",
        },
        {"role": "user", "content": "多少行?"},
        {"role": "assistant", "content": "SELECT COUNT(*) FROM t1"},
    ]
    assert "多少行" in (tmp_path / "data" / "train.jsonl").read_text("utf-8")


def test_the_system_prompt_can_be_changed_and_braces_in_it_mean_themselves(tmp_path):
    file = write(tmp_path / "data.jsonl", [row(1, context="CREATE TABLE t1 (a VARCHAR DEFAULT '{x}')")])
    build_sql_create_context(file, tmp_path / "data", system_prompt="{json}: {schema}", valid_share=0, test_share=0)
    content = lines(tmp_path / "data", "train")[0]["messages"][0]["content"]
    assert content == "{json}: CREATE TABLE t1 (a VARCHAR DEFAULT '{x}')"
    with pytest.raises(RecipeError, match="schema"):
        build_sql_create_context(file, tmp_path / "data", system_prompt="no place")


def test_a_question_has_facts_but_no_database(tmp_path):
    build_sql_create_context(write(tmp_path / "data.jsonl", [row(n) for n in range(40)]), tmp_path / "data")
    made = json.loads((tmp_path / "data" / "data.json").read_text("utf-8"))
    assert "databases" not in made
    for example in open_folder(tmp_path / "data").train:
        facts = SqlFacts.of(example)
        assert facts is not None
        assert facts.gold == example.messages[-1]["content"]
        assert facts.gold == f"SELECT COUNT(*) FROM t{(facts.line or 0) - 1}"
        assert (facts.database, facts.source) == ("", "sql-create-context")


def test_no_schema_is_on_two_sides_however_it_is_written(tmp_path):
    rows = []
    for number in range(60):
        rows += [
            row(number),
            row(number, context=f"create  table T{number}(size text,\n name text);"),
            row(number, context=f"CREATE TABLE t{number} (name VARCHAR, size INTEGER); CREATE TABLE u (a INTEGER)"),
            row(number, context=f"CREATE TABLE u (a INTEGER); CREATE TABLE t{number} (size REAL, name VARCHAR)"),
        ]
    built = build_sql_create_context(write(tmp_path / "data.jsonl", rows), tmp_path / "data", seed=3)
    sides = {}
    for split in ("train", "valid", "test"):
        for line in lines(tmp_path / "data", split):
            context = line["messages"][0]["content"].partition("SCHEMA:\n")[2]
            assert sides.setdefault(schema_key(context), split) == split
    assert len(sides) == 120
    assert set(built.counts) == {"train", "valid", "test"}
    assert sum(built.counts.values()) == 240


@given(st.lists(st.sampled_from(["id", "name", "size", "city"]), min_size=1, unique=True), st.randoms())
def test_the_key_of_a_schema_hangs_on_its_names_alone(columns, rng):
    def create(names):
        typed = [f"{name.upper()} {rng.choice(['TEXT', 'INTEGER', 'DECIMAL (3)'])}" for name in names]
        return f"CREATE TABLE  People ({rng.choice([', ', ',', ' , ']).join(typed)})"

    shuffled = rng.sample(columns, len(columns))
    assert schema_key(create(columns)) == schema_key(create(shuffled) + " ;")
    assert schema_key(create(columns)) != schema_key(create([*columns, "other"]))


def test_size_bounds_each_split_and_a_larger_one_holds_the_smaller(tmp_path):
    file = write(tmp_path / "data.jsonl", [row(n) for n in range(200)])
    small = build_sql_create_context(file, tmp_path / "small", size=5)
    build_sql_create_context(file, tmp_path / "large", size=9)
    assert dict(small.counts) == {"train": 5, "valid": 5, "test": 5}
    assert small.skipped["beyond the examples asked for"] == 185
    for split in ("train", "valid", "test"):
        larger = [line["sql"]["gold"] for line in lines(tmp_path / "large", split)]
        assert {line["sql"]["gold"] for line in lines(tmp_path / "small", split)} <= set(larger)
        assert larger == sorted(larger, key=lambda gold: int(gold.rpartition("t")[2]))


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    file = write(tmp_path / "data.jsonl", [row(n) for n in range(50)])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_sql_create_context(file, tmp_path / name, seed=seed)
    contents = {name: (tmp_path / name / "train.jsonl").read_bytes() for name in "abc"}
    assert contents["a"] == contents["b"] != contents["c"]


def test_bad_lines_are_counted_and_the_first_ones_named(tmp_path):
    file = write(tmp_path / "data.jsonl", [row(n) for n in range(20)])
    bad = [{"question": "q"}, row(1, answer=None), row(1, question=" "), row(1, context="no schema")]
    with file.open("a", encoding="utf-8") as opened:
        opened.write("{not JSON\n" + "".join(json.dumps(each) + "\n" for each in bad))
    built = build_sql_create_context(file, tmp_path / "data")
    assert dict(built.skipped) == {
        "can't be read": 1,
        "no context": 1,
        "no answer": 1,
        "no question": 1,
        "its context has no CREATE TABLE": 1,
    }
    assert sum(built.counts.values()) == 20
    assert [note for note in built.notes if f"{file}:21: " in note]
    assert [note for note in built.notes if f"{file}:22: no context" in note]


def test_files_and_settings_that_cannot_be_are_refused(tmp_path):
    file = write(tmp_path / "data.jsonl", [{"a": 1}])
    with pytest.raises(DataError, match="no such file"):
        build_sql_create_context(tmp_path / "gone.jsonl", tmp_path / "data")
    with pytest.raises(DataError, match="nothing was written"):
        build_sql_create_context(file, tmp_path / "data")
    with pytest.raises(DataError, match="fell to validation and testing"):
        build_sql_create_context(
            write(tmp_path / "one.jsonl", [row(1)]), tmp_path / "data", test_share=0.999, valid_share=0
        )
    for setting in ({"size": 0}, {"valid_share": 0.6, "test_share": 0.4}):
        with pytest.raises(RecipeError):
            build_sql_create_context(file, tmp_path / "data", **setting)
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not SHARED.is_file(), reason="the shared data are not here")
def test_the_whole_of_the_shared_file_is_built(tmp_path):
    built = build_sql_create_context(SHARED, tmp_path / "data")
    assert sum(built.counts.values()) == 3957
    assert not built.skipped
    schemas = {}
    for split in ("train", "valid", "test"):
        assert len(lines(tmp_path / "data", split)) > 250
        for line in lines(tmp_path / "data", split):
            system = line["messages"][0]["content"]
            assert system.startswith(SYSTEM_PROMPT.partition("{schema}")[0] + "CREATE TABLE ")
            assert schemas.setdefault(schema_key(system.partition("SCHEMA:\n")[2]), split) == split
