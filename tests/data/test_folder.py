"""Promises of a data folder: what is read, what is refused and how it is said."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.data.folder import Keys, open_folder, open_split
from myna.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def write(folder: Path, name: str, *records: Any) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    (folder / name).write_text("".join(lines), "utf-8")
    return folder


def texts(count: int) -> list[dict[str, str]]:
    return [{"text": f"example {number}"} for number in range(count)]


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        open_folder(folder, **options)
    return str(caught.value)


def test_the_three_formats_become_examples_with_file_and_line(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好 🐦"}]
    tools = [{"type": "function", "function": {"name": "run"}}]
    sql = {"database": "shop", "gold": "SELECT 1"}
    folder = write(
        tmp_path,
        "train.jsonl",
        {"text": "a"},
        {"prompt": "q", "completion": "a", "sql": sql},
        {"messages": chat, "tools": tools},
    )
    text, completion, conversation = open_split(folder, "train")
    assert (text.kind, text.text, text.source.line) == ("text", "a", 1)
    assert (completion.kind, completion.sql, str(completion.source)) == (
        "completion",
        sql,
        f"{folder}/train.jsonl:2",
    )
    assert completion.messages == (
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    )
    assert (conversation.kind, list(conversation.messages), conversation.tools) == (
        "chat",
        chat,
        tuple(tools),
    )


def test_keys_can_be_mapped(tmp_path: Path) -> None:
    folder = write(tmp_path, "train.jsonl", {"question": "q", "sql": "SELECT 1"})
    example = open_split(folder, "train", keys=Keys(prompt="question", completion="sql"))[0]
    assert [message["content"] for message in example.messages] == ["q", "SELECT 1"]
    assert example.sql is None


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n  \n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_crlf_blank_lines_and_gzip_change_nothing(
    tmp_path: Path, name: str, end: bytes, mark: bytes
) -> None:
    lines = [json.dumps(record).encode() for record in texts(5)]
    content = mark + end.join(lines)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    examples = open_split(tmp_path, "train")
    assert [example.text for example in examples] == [record["text"] for record in texts(5)]
    assert [examples[index].text for index in (4, -5)] == ["example 4", "example 0"]
    plain = write(tmp_path / "plain", "train.jsonl", *texts(5))
    assert examples.content_hash == open_split(plain, "train").content_hash


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    open_folder(write(tmp_path / "small", "train.jsonl", *texts(5)))  # what is imported on first use takes memory too
    (tmp_path / "train.jsonl").write_text('{"text": "' + "x" * 20_000 + '"}\n')
    with (tmp_path / "train.jsonl").open("a") as file:
        file.writelines(f'{{"text": "{number} {"x" * 20_000}"}}\n' for number in range(500))
    tracemalloc.start()
    folder = open_folder(tmp_path)
    assert len({len(example.text) for example in folder.train}) > 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # the file has 10 MB


def test_an_unpacked_gzip_file_goes_with_its_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "temporary"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n'))
    examples = open_split(tmp_path, "train")
    assert len(list(room.iterdir())) == 1
    del examples
    assert not list(room.iterdir())


BAD_LINES = {
    "not JSON": (b'{"text": "a"', r"not JSON: .* at column 13"),
    "pretty-printed": (b"{", r"each object on one line"),
    "a number": (b"12", r"expected a JSON object, found the number 12"),
    "not UTF-8": (b'{"text": "\xff\xff"}', r"not UTF-8 \(byte 0xff at position 11 of the line\); save"),
    "GBK": ('{"text": "数据库"}'.encode("gbk"), r"iconv -f GB18030"),
    "half a surrogate": (b'{"text": "\\ud83d"}', r"half of a surrogate pair"),
    "nesting": (b'{"text": ' + b"[" * 100_000, r"nested deeper than 64 levels"),
    "some nesting": (b'{"text": "a", "meta": ' + b"[" * 900 + b"]" * 900 + b"}", r"nested deeper than 64 levels"),
    "missing keys": (
        b'{"question": "q", "sql": "s"}',
        r'no "messages", "prompt" with "completion", or "text" key \(found: question, sql\); '
        r"map them with --prompt-key question --completion-key sql",
    ),
    "one key missing": (b'{"prompt": "q", "answer": "a"}', r"--completion-key answer$"),
    "misspelt": (b'{"txt": "a"}', r"did you mean 'text'"),
    "other chats": (b'{"dialogue": []}', r"--messages-key dialogue"),
    "empty ShareGPT": (b'{"conversations": []}', r'"conversations" is empty'),
    "no keys": (b"{}", r"found: none"),
    "text type": (b'{"text": 5}', r'"text" must be a string, found the number 5'),
    "text null": (b'{"text": null}', r"found null"),
    "empty text": (b'{"text": " "}', r'"text" is empty'),
    "empty answer": (b'{"prompt": "q", "completion": ""}', r'"completion" is empty'),
    "prompt list": (
        b'{"prompt": [], "completion": "a"}',
        r'"prompt" is an empty list: expected messages, or a string',
    ),
    "messages type": (b'{"messages": {}}', r"must be a list of messages, found an object"),
    "no messages": (b'{"messages": []}', r'"messages" is empty'),
    "no assistant": (b'{"messages": [{"role": "user", "content": "q"}]}', r"no assistant .*found: user"),
    "assistant first": (
        b'{"messages": [{"role": "assistant", "content": "a"}]}',
        r"begins with the assistant",
    ),
    "no role": (
        b'{"messages": [{"content": "q"}]}',
        r'message 1 .*needs a "role" that is a string \(keys found: content\)',
    ),
    "ShareGPT role": (
        b'{"conversations": [{"from": "humen", "value": "q"}]}',
        r"message 1 .*is \"from\" 'humen'; did you mean 'human'\?",
    ),
    "image": (
        b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}',
        r"message 1 .*part of type 'image_url'.*only text",
    ),
    "audio": (
        b'{"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}',
        r"part of type 'input_audio'",
    ),
    "arguments": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": '
        b'[{"function": {"name": "f", "arguments": "{city"}}]}]}',
        r"message 2 .*call of 'f' whose \"arguments\" are no JSON",
    ),
    "list of arguments": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": '
        b'[{"function": {"name": "f", "arguments": [1]}}]}]}',
        r"must be an object, or JSON of one, found a list",
    ),
    "call without name": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}',
        r'tool call without the "name"',
    ),
    "weight": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0.5}]}',
        r'message 2 .*"weight" of 0.5, expected 0',
    ),
    "all weights 0": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}]}',
        r'"weight": 0 in every assistant message',
    ),
    "no content": (b'{"messages": [{"role": "user"}]}', r'has no "content" \(keys found: role\)'),
    "content type": (b'{"messages": [{"role": "user", "content": 1}]}', r'"content" that must be a string'),
    "content parts": (b'{"messages": [{"role": "user", "content": [1]}]}', r"parts must be objects"),
    "calls": (
        b'{"messages": [{"role": "assistant", "tool_calls": "x"}]}',
        r'"tool_calls" that must be a list',
    ),
    "message type": (b'{"messages": ["hi"]}', r"message 1 of \"messages\" must be an object"),
    "no answer": (
        b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}]}',
        r"message 2 .*empty answer",
    ),
    "tools": (b'{"messages": [], "tools": "x"}', r'"tools" must be a list of objects'),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_with_its_cause_or_skipped_and_listed(tmp_path: Path, name: str) -> None:
    line, cause = BAD_LINES[name]
    (tmp_path / "train.jsonl").write_bytes(b'{"text": "good"}\n' + line + b'\n{"text": "also good"}\n')
    with pytest.raises(DataError, match=cause) as caught:
        open_folder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/train.jsonl:2: ")
    examples = open_split(tmp_path, "train", on_bad_example="skip")
    assert [example.text for example in examples] == ["good", "also good"]
    (bad,) = examples.skipped
    assert f"{bad}" == str(caught.value)
    assert "1 bad lines left out" in open_folder(tmp_path, on_bad_example="skip").notes[0]


def test_a_line_of_50_megabytes_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    with (tmp_path / "train.jsonl").open("wb") as file:
        file.write(b'{"text": "good"}\n{"text": "')
        for _ in range(50):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"text": "after"}\n')
    tracemalloc.start()
    assert ":2: the line has 52,428,813 bytes, expected at most 16,777,216" in refusal(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()
    examples = open_split(tmp_path, "train", on_bad_example="skip")
    assert [(example.text, example.source.line) for example in examples] == [("good", 1), ("after", 3)]


def test_files_that_are_no_jsonl_are_refused_even_when_bad_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    for content, message in {
        b'\n[{"text": "a"},\n{"text": "b"}]': ":2: this is a JSON array, expected JSONL",
        b"": "the file is empty",
        b" \r\n\n": "the file is empty",
        '{"text": "a"}'.encode("utf-16"): "UTF-16",
        gzip.compress(b'{"text": "a"}\n' * 99)[:-9]: "truncated gzip",
        b"12\n13": "none of the 2 lines can be used",
    }.items():
        file.write_bytes(content)
        assert message in refusal(tmp_path, on_bad_example="skip")


def test_a_missing_folder_or_file_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "wikisql", "valid.jsonl", *texts(2))
    assert f"nearest in {tmp_path}: wikisql" in refusal(tmp_path / "wikiSQL2")
    assert f"nearest in {tmp_path}: wikisql" in refusal(tmp_path / "wikiSQL" / "deeper")
    assert "no train.jsonl (found: valid.jsonl)" in refusal(tmp_path / "wikisql")
    assert "expected a folder" in refusal(tmp_path / "wikisql" / "valid.jsonl")
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in refusal(tmp_path / "empty")
    write(tmp_path / "wikisql", "train.jsonl", *texts(2))
    write(tmp_path / "wikisql", "train.jsonl.gz", *texts(2))
    assert "both train.jsonl and train.jsonl.gz" in refusal(tmp_path / "wikisql")
    with pytest.raises(DataError, match=r"no test\.jsonl"):
        open_split(tmp_path / "wikisql", "test")


def test_a_file_changed_while_in_use_is_noticed(tmp_path: Path) -> None:
    examples = open_split(write(tmp_path, "train.jsonl", *texts(3)), "train")
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(DataError, match="changed while it was in use"):
        examples[2]


def test_a_split_comes_from_content_and_seed_alone(tmp_path: Path) -> None:
    records = texts(300)
    first = open_folder(write(tmp_path / "a", "train.jsonl", *records))
    again = open_folder(write(tmp_path / "b", "train.jsonl", *reversed(records)))
    other = open_folder(write(tmp_path / "c", "train.jsonl", *records), seed=1)
    assert first.valid
    assert again.valid
    assert other.valid
    held_out = {example.text for example in first.valid}
    assert held_out == {example.text for example in again.valid}
    assert held_out != {example.text for example in other.valid}
    assert 15 <= len(held_out) <= 50
    assert len(first.train) + len(first.valid) == 300
    assert f"{len(held_out)} of 300 training examples are kept for validation" in first.notes[0]
    assert first.train.content_hash != first.valid.content_hash


@given(numbers=st.lists(st.integers(0, 12), min_size=1, max_size=40), seed=st.integers(0, 2**40))
def test_no_duplicate_of_a_training_example_is_validated(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], seed: int
) -> None:
    def record(place: int, number: int) -> dict[str, Any]:
        if place % 2:
            return {"prompt": f"question  {number} ", "completion": "a"}
        chat = [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": "a"}]
        return {"messages": chat, "sql": {"line": place}}

    folder = tmp_path_factory.mktemp("data")
    data = open_folder(write(folder, "train.jsonl", *map(record, range(len(numbers)), numbers)), seed=seed)

    def questions(examples: Any) -> set[str]:
        return {" ".join(example.messages[0]["content"].split()) for example in examples}

    if len(set(numbers)) == 1:
        assert data.valid is None
        assert len(data.train) == len(numbers)
        return
    assert data.valid
    assert len(data.train) > 0
    assert len(data.train) + len(data.valid) == len(numbers)
    assert not questions(data.train) & questions(data.valid)


def test_a_given_validation_file_is_kept_and_its_duplicates_are_told(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", *texts(3))
    write(tmp_path, "valid.jsonl", {"text": "new"}, {"text": "example  1"})
    data = open_folder(tmp_path)
    assert data.valid
    assert (len(data.train), len(data.valid), data.test) == (3, 2, None)
    assert data.notes == (
        "valid.jsonl: 1 of 2 examples are in the training file too: "
        "the loss on them does not tell how well the model generalises",
    )


def test_a_validation_file_under_another_name_is_pointed_out(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", *texts(3))
    write(tmp_path, "validation.jsonl", *texts(3))
    assert "validation.jsonl is not read; rename it to valid.jsonl" in open_folder(tmp_path).notes[0]


def test_slices_and_subsets_stay_on_disk(tmp_path: Path) -> None:
    examples = open_split(write(tmp_path, "train.jsonl", *texts(10)), "train")
    assert [example.text for example in examples[2:4]] == ["example 2", "example 3"]
    assert [example.source.line for example in examples[::-3]] == [10, 7, 4, 1]
    with pytest.raises(IndexError):
        examples[10]


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_the_mlx_example_files_are_read_whole() -> None:
    data = open_folder(SHARED / "mlx_wikisql")
    assert data.valid
    assert data.test
    assert (len(data.train), len(data.valid), len(data.test)) == (1000, 100, 100)
    assert all(example.kind == "text" for example in data.train)


def test_a_data_set_of_the_hub_named_as_a_folder_is_told_how_it_is_named() -> None:
    said = refusal(Path("mlx-community/WikiSQL"))
    assert "hf_dataset: {path: mlx-community/WikiSQL}" in said
    assert "--hf-dataset mlx-community/WikiSQL" in said
