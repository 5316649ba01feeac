"""From people's own files to a data folder."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.builders.decoding import decode
from myna.builders.files import build_files
from myna.builders.tables import read_rows
from myna.builders.writer import Built
from myna.data.folder import open_folder, open_split
from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts


def _build(out: Path, *files: Path, **settings: Any) -> Built:
    return build_files(files, out, **({"valid_share": 0, "test_share": 0} | settings))


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def _csv(path: Path, rows: list[Mapping[str, Any]], **dialect: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS: list[Mapping[str, Any]] = [
    {"prompt": "有多少学生?", "completion": "SELECT COUNT(*) FROM students"},
    {"prompt": 'say "hi", twice;\nplease', "completion": "a\tb | c"},
    {"prompt": "third", "completion": "3"},
]


def _as_parquet(path: Path, rows: list[Mapping[str, Any]]) -> Path:
    pytest.importorskip("duckdb")
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


# Formats


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.ndjson", "a.parquet", "a.csv.gz", "a.jsonl.gz"]
)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    plain = tmp_path / name.removesuffix(".gz")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    match plain.suffix:
        case ".csv":
            _csv(plain, ROWS)
        case ".tsv":
            _csv(plain, ROWS, delimiter="\t", quoting=csv.QUOTE_ALL)
        case ".json":
            plain.write_text(json.dumps(ROWS, indent=2), "utf-8")
        case ".parquet":
            _as_parquet(plain, ROWS)
        case _:
            plain.write_text(lines, "utf-8")
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    built = _build(tmp_path / "out", tmp_path / name)
    assert _records(tmp_path / "out") == ROWS
    assert (built.counts, built.skipped) == ({"train": 3}, {})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    _build(tmp_path / "out", _csv(tmp_path / "a.csv", ROWS, delimiter=delimiter))
    assert _records(tmp_path / "out") == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_the_encoding_is_found_out(tmp_path: Path, name: str, encoding: str) -> None:
    text = {
        "a.csv": "问题,answer\n有多少学生,很多\n",
        "a.jsonl": '{"问题": "有多少学生", "answer": "很多"}\n',
        "a.json": '[{"问题": "有多少学生", "answer": "很多"}]',
    }[name]
    (tmp_path / name).write_bytes(text.encode(encoding))
    _build(tmp_path / "out", tmp_path / name, prompt="问题")
    assert _records(tmp_path / "out") == [{"prompt": "有多少学生", "completion": "很多"}]


def test_what_is_in_no_known_encoding_says_at_which_byte(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("prompt,completion\ndéjà,vu\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv: byte 20 is not UTF-8, and the file is not GB18030 either"):
        _build(tmp_path / "out", tmp_path / "a.csv")
    with pytest.raises(DataError, match="zero bytes"):
        decode(b"a\0b", "x")


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="gb2312", exclude_characters="\0"), min_size=1).filter(
        lambda text: not text.isascii()
    )
)
def test_all_that_is_chinese_in_gb18030_is_read_back(text: str) -> None:
    content = text.encode("gb18030")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        assert decode(content, "x") == text


def test_quotes_in_tab_separated_text_mean_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('prompt\tcompletion\n"What" is it\ta "thing"\n')
    _build(tmp_path / "out", tmp_path / "a.tsv")
    assert _records(tmp_path / "out") == [{"prompt": '"What" is it', "completion": 'a "thing"'}]


def test_a_json_array_may_hold_elements_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    rows = [{"prompt": str(number), "completion": "\n".join(["long"] * 40_000)} for number in range(4)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    found = list(read_rows(tmp_path / "a.json"))
    assert [row.cells for row in found] == rows
    assert [row.line for row in found] == [2, 6, 10, 14]


# Columns


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ({"Question": "q", "SQL": "s"}, {"prompt": "q", "completion": "s"}),
        ({"instruction": "i", "input": "x", "output": "o"}, {"prompt": "i\n\nx", "completion": "o"}),
        ({"instruction": "i", "input": "", "output": "o"}, {"prompt": "i", "completion": "o"}),
        ({"input": "q", "target": "a", "score": 1}, {"prompt": "q", "completion": "a"}),
        ({"text": "t", "id": 3}, {"text": "t"}),
        ({"prompt": "q", "completion": 4.5}, {"prompt": "q", "completion": "4.5"}),
        (
            {"conversations": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]},
            {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]},
        ),
    ],
)
def test_usual_column_names_are_found(tmp_path: Path, row: dict[str, Any], record: dict[str, Any]) -> None:
    (tmp_path / "a.json").write_text(json.dumps([row]))
    _build(tmp_path / "out", tmp_path / "a.json")
    assert _records(tmp_path / "out") == [record]


def test_columns_named_by_flags_win(tmp_path: Path) -> None:
    file = _csv(tmp_path / "a.csv", [{"prompt": "p", "completion": "c", "x": "q", "y": "a", "role": "Be brief."}])
    _build(tmp_path / "out", file, prompt="X", completion="y", system="role")
    roles = {message["role"]: message["content"] for message in _records(tmp_path / "out")[0]["messages"]}
    assert roles == {"system": "Be brief.", "user": "q", "assistant": "a"}


def test_messages_in_a_csv_cell_are_json(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": json.dumps(talk)}, {"messages": "no json"}, {"messages": json.dumps(talk[:1])}]
    built = _build(tmp_path / "out", _csv(tmp_path / "a.csv", rows), system=None)
    assert _records(tmp_path / "out") == [{"messages": talk}]
    assert built.skipped == {"rows with no messages": 1, "rows that are no example": 1}
    assert any("a.csv:4: " in note and "no assistant message" in note for note in built.notes)


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        (["Question", "Answer"], {"prompt": "Qestion"}, r"no column 'Qestion' for --prompt; did you mean 'Question'\?"),
        (["question", "sql", "answer"], {}, "sql, answer could each be --completion; name one"),
        (["a", "b"], {}, r"no columns with usual names \(found: a, b\)"),
        (["question", "b"], {"prompt": "question"}, r"which column is --completion\? Found: question, b"),
        (["prompt", "completion", "text"], {"prompt": "prompt", "text": "text"}, "name one kind"),
        (["text", "db"], {"database": "db"}, "Name it with --gold"),
        (["a", "a"], {}, r"a\.csv:1: two columns are called 'a'"),
        (["", ""], {}, r"a\.csv:1: no column names"),
    ],
)
def test_what_is_unclear_about_columns_is_said(
    tmp_path: Path, columns: list[str], settings: dict[str, str], message: str
) -> None:
    (tmp_path / "a.csv").write_text(",".join(columns) + "\n" + ",".join("x" for _ in columns) + "\n")
    with pytest.raises(DataError, match=message):
        _build(tmp_path / "out", tmp_path / "a.csv", **settings)


def test_columns_that_nobody_reads_are_named(tmp_path: Path) -> None:
    built = _build(tmp_path / "out", _csv(tmp_path / "a.csv", [{"prompt": "p", "completion": "c", "context": "x"}]))
    assert any(note.endswith("columns that are not used: context") for note in built.notes)


# Rows


def test_rows_that_cannot_be_used_are_counted_and_named_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt,completion\nq,a\n,b\nq,"  "\none\n"x" y,b\n"two\nlines",c\nq,c,d\n')
    built = _build(tmp_path / "out", tmp_path / "a.csv")
    assert [record["prompt"] for record in _records(tmp_path / "out")] == ["q", "two\nlines"]
    assert built.skipped == {
        "rows with an empty 'prompt'": 1,
        "rows with an empty 'completion'": 1,
        "rows that can't be read": 3,
    }
    named = [note.partition("a.csv:")[2].partition(":")[0] for note in built.notes]
    assert named == ["3", "4", "5", "6", "9"]


def test_bad_lines_of_jsonl_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"prompt": "q", "completion": "a"}\n\nno json\n[1]\n{"prompt": ["q"], "completion": "a"}\n'
    )
    built = _build(tmp_path / "out", tmp_path / "a.jsonl")
    assert built.counts == {"train": 1}
    assert [note.partition("a.jsonl:")[2][:1] for note in built.notes] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"prompt,completion\n", "it has no rows"),
        ("a.txt", b"x", r"can't tell what it is; expected a name ending in \.csv"),
        ("a.json", b'{"rows": []}', "found one object|no columns"),
        ("a.json", b'{\n"a": 1\n}', "found one object"),
        (
            "a.json",
            b'[{"prompt": "p", "completion": "c"}, {"pro',
            r"a\.json:1: the element that begins here is no JSON",
        ),
        ("a.jsonl", b"no\njson\n", "line 2: not JSON"),
        ("a.csv.gz", b"\x1f\x8bnonsense", "damaged or truncated gzip"),
        ("a.parquet", b"PAR1 nonsense", "can't be read as Parquet"),
    ],
)
def test_files_that_cannot_be_used_are_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("duckdb")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        _build(tmp_path / "out", tmp_path / name)
    assert not (tmp_path / "out").exists()


def test_missing_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        _build(tmp_path / "out", tmp_path / "a.csv")
    with pytest.raises(DataError, match="is no regular file"):
        _build(tmp_path / "out", tmp_path)
    with pytest.raises(RecipeError, match="no file was named"):
        _build(tmp_path / "out")


# Split and size


def _many(path: Path, count: int) -> Path:
    return _csv(path, [{"prompt": f"question {number % 300}", "completion": f"{number}"} for number in range(count)])


def test_rows_that_ask_the_same_are_on_one_side_whatever_they_answer(tmp_path: Path) -> None:
    files = [_many(tmp_path / "a.csv", 600), _many(tmp_path / "b.csv", 300)]
    built = _build(tmp_path / "out", *files, valid_share=0.2, test_share=0.2)
    sides: dict[str, set[str]] = {}
    for split in ("train", "valid", "test"):
        for line in (tmp_path / "out" / f"{split}.jsonl").read_text().splitlines():
            sides.setdefault(json.loads(line)["prompt"], set()).add(split)
    assert len(sides) == 300
    assert all(len(found) == 1 for found in sides.values())
    assert sum(built.counts.values()) == 900
    assert 90 <= built.counts["valid"] <= 270


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_no_64_bit_number_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(RecipeError, match=f"a seed of {seed} can't be used"):
        _build(tmp_path / "out", _csv(tmp_path / "a.csv", ROWS), seed=seed)


def test_the_seed_decides_the_split_and_only_it(tmp_path: Path) -> None:
    file = _many(tmp_path / "a.csv", 300)
    for out, seed in (("one", 0), ("same", 0), ("other", 1)):
        _build(tmp_path / out, file, valid_share=0.2, seed=seed)
    one, same, other = ((tmp_path / name / "valid.jsonl").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other


def test_size_takes_that_many_rows_from_all_over_the_files(tmp_path: Path) -> None:
    files = [
        _many(tmp_path / "a.csv", 300),
        _csv(tmp_path / "b.csv", [{"prompt": f"b{n}", "completion": "x"} for n in range(300)]),
    ]
    built = _build(tmp_path / "out", *files, size=100, valid_share=0.2, test_share=0.2)
    assert sum(built.counts.values()) == 100
    from_second = [record for record in _records(tmp_path / "out") if record["prompt"].startswith("b")]
    assert 25 <= len(from_second) <= 75
    assert built.counts["train"] > 40
    _build(tmp_path / "all", *files, size=10_000)
    assert len(_records(tmp_path / "all")) == 600
    with pytest.raises(RecipeError, match="a size of 0"):
        _build(tmp_path / "none", *files, size=0)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        file = _many(tmp_path / f"{count}.csv", count)
        tracemalloc.start()
        _build(tmp_path / f"out{count}", file)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(100)  # what is imported and cached on first use is not the file's
    # 4,000 more rows would be over a megabyte if they were kept
    assert peak(8_000) - peak(4_000) < 200_000


# Conversations and other people's forms

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "town 0"}}}
CHAT = [
    {"role": "user", "content": "Weather in town 0?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "sunny"},
    {"role": "assistant", "content": "It is sunny."},
]


@pytest.mark.parametrize("tools", [TOOLS, json.dumps(TOOLS)])
def test_tools_stay_with_their_conversation(tmp_path: Path, tools: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"messages": CHAT, "tools": tools}]))
    _build(tmp_path / "out", tmp_path / "a.json")
    (example,) = open_split(tmp_path / "out", "train")
    assert example.tools == tuple(TOOLS)
    assert list(example.messages) == CHAT


def test_a_column_called_tools_that_describes_none_does_no_harm(tmp_path: Path) -> None:
    _build(tmp_path / "out", _csv(tmp_path / "a.csv", [{"prompt": "q", "completion": "a", "tools": "hammer, saw"}]))
    assert _records(tmp_path / "out") == [{"prompt": "q", "completion": "a"}]


def test_sharegpt_rows_are_conversations_with_their_system_message(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"conversations": turns, "system": "s", "tools": "[]"}) + "\n")
    _build(tmp_path / "out", tmp_path / "a.jsonl")
    (example,) = open_split(tmp_path / "out", "train")
    assert [(each["role"], each["content"]) for each in example.messages] == [
        ("system", "s"),
        ("user", "q"),
        ("assistant", "a"),
    ]


def test_alpaca_rows_keep_input_and_system_message(tmp_path: Path) -> None:
    row = {"instruction": "Add", "input": "1 and 2", "output": "3", "system": "s"}
    _build(tmp_path / "out", _csv(tmp_path / "a.csv", [row]))
    (example,) = open_split(tmp_path / "out", "train")
    assert [each["content"] for each in example.messages] == ["s", "Add\n\n1 and 2", "3"]


@pytest.mark.parametrize("completion", ["It is sunny.", [CHAT[-1]]])
def test_prompt_and_completion_may_be_conversations(tmp_path: Path, completion: Any) -> None:
    row = {"prompt": CHAT[:-1], "completion": completion, "tools": TOOLS}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    _build(tmp_path / "out", tmp_path / "a.json")
    (example,) = open_split(tmp_path / "out", "train")
    assert [message.get("weight") for message in example.messages] == [None, 0, None, None]
    assert example.messages[-1]["content"] == "It is sunny."
    assert example.tools == tuple(TOOLS)


def test_bytes_in_parquet_are_text_where_they_are_utf8_and_else_a_reason(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Wie spät?".encode(), "completion": "Spät".encode(), "image": b"\xff\xd8"},
        {"prompt": b"\xff", "completion": b"a", "image": b"\xff\xd8"},
    ]
    built = _build(tmp_path / "out", _as_parquet(tmp_path / "a.parquet", rows))
    assert _records(tmp_path / "out") == [{"prompt": "Wie spät?", "completion": "Spät"}]
    assert built.skipped == {"rows with bytes that are no text": 1}
    assert any("'prompt' holds bytes that are not UTF-8 text" in note for note in built.notes)


def test_nulls_that_parquet_fills_into_objects_are_not_learnt(tmp_path: Path) -> None:
    other = {"type": "function", "function": {"name": "time", "arguments": {"zone": "UTC"}}}
    rows = [{"messages": CHAT}, {"messages": [CHAT[0], {**CHAT[1], "tool_calls": [other]}, *CHAT[2:]]}]
    _build(tmp_path / "out", _as_parquet(tmp_path / "a.parquet", rows))
    first, second = open_split(tmp_path / "out", "train")
    assert list(first.messages) == CHAT
    assert second.messages[1]["tool_calls"] == [other]


# SQL facts


def test_databases_make_rows_scorable(tmp_path: Path) -> None:
    (tmp_path / "dbs" / "shop").mkdir(parents=True)
    for path in (
        tmp_path / "dbs" / "school.sqlite",
        tmp_path / "dbs" / "shop" / "shop.sqlite",
        tmp_path / "out.sqlite",
    ):
        sqlite3.connect(path).close()
    rows = [
        {"question": f"q{number}", "sql": "SELECT 1", "db_id": name}
        for number, name in enumerate(("school", "shop", "nowhere", "../out", "postgresql://me:secret@host/x"))
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    built = _build(tmp_path / "data", tmp_path / "a.json", database="db_id", databases=tmp_path / "dbs")
    records = _records(tmp_path / "data")
    assert [record["sql"]["database"] for record in records] == ["school", "shop"]
    assert SqlFacts.of(open_folder(tmp_path / "data").train[0]) is not None
    everything = (tmp_path / "data" / "data.json").read_text() + str(built)
    assert json.loads((tmp_path / "data" / "data.json").read_text())["databases"] == {
        "school": str(tmp_path / "dbs" / "school.sqlite"),
        "shop": str(tmp_path / "dbs" / "shop" / "shop.sqlite"),
    }
    assert built.skipped["rows whose database is missing"] == 2
    assert "secret" not in everything
    with pytest.raises(RecipeError, match="--database"):
        _build(tmp_path / "other", tmp_path / "a.json", gold="sql")
