"""Promises of mlx_lm's `hf_dataset` entry."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from myna.data.folder import open_folder
from myna.data.hub import fetch_dataset
from myna.errors import DataError, MissingDependency

pytest.importorskip("datasets", reason="the optional datasets library is not installed")


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [{"question": f"q{number}", "response": f"a{number}", "extra": 1} for number in range(20)]
    (folder / "train.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "path": str(folder),
        "prompt_feature": "question",
        "completion_feature": "response",
        "config": {"cache_dir": str(tmp_path / "cache")},
    }


def test_a_local_dataset_becomes_a_data_folder_with_mlx_lms_splits(tmp_path: Path, entry: dict[str, Any]) -> None:
    folder = fetch_dataset(entry, tmp_path / "data")
    data = open_folder(folder)
    assert data.valid
    assert (len(data.train), len(data.valid), data.test, data.notes) == (16, 2, None, ())
    assert [message["content"] for message in data.train[3].messages] == ["q3", "a3"]
    made = json.loads((folder / "data.json").read_text())
    assert made["splits"]["train"] == {"count": 16, "content_hash": data.train.content_hash}
    assert made["source"] == {"hf_dataset": [entry]}


def test_a_folder_is_made_once_and_never_overwritten(tmp_path: Path, entry: dict[str, Any]) -> None:
    folder = fetch_dataset(entry, tmp_path / "data")
    before = (folder / "train.jsonl").stat().st_mtime_ns
    assert fetch_dataset([entry], folder) == folder
    assert (folder / "train.jsonl").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="was not made from this hf_dataset entry"):
        fetch_dataset(entry | {"train_split": "train[:5]"}, folder)


def test_several_entries_follow_one_another_and_conversations_lose_their_filler(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    chats = tmp_path / "chats"
    chats.mkdir()
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "run"}]}
    chat = [{"role": "user", "content": "q"}, call]
    (chats / "train.json").write_text(json.dumps({"dialog": chat}) + "\n")
    second = {"path": str(chats), "chat_feature": "dialog", "train_split": "train", "valid_split": None}
    second["config"] = entry["config"]
    first = entry | {"train_split": "train[:2]", "valid_split": None, "test_split": "train[2:3]"}
    data = open_folder(fetch_dataset([first, second], tmp_path / "data"))
    assert data.test
    assert len(data.test) == 1
    conversations = [*data.train, *(data.valid or ())]
    assert len(conversations) == 3
    question, answer = next(each for each in conversations if each.kind == "chat").messages
    assert question == chat[0]
    assert answer["tool_calls"] == [{"type": "function", "function": {"name": "run", "arguments": {}}}]


def test_what_is_wrong_with_an_entry_is_said_and_nothing_is_left(tmp_path: Path, entry: dict[str, Any]) -> None:
    for change, message in {
        ("promt_feature", "x"): "did you mean 'prompt_feature'",
        ("completion_feature", "answer"): r"no column .*found: question, response, extra",
        ("path", str(tmp_path / "nowhere")): "can't be loaded",
        ("train_split", "training"): "can't be loaded",
        ("config", (("trust_remote_code", True),)): "trust_remote_code is refused",
        ("path", None): "needs a path",
    }.items():
        value = dict(change[1]) if isinstance(change[1], tuple) else change[1]
        with pytest.raises(DataError, match=message):
            fetch_dataset(entry | {change[0]: value}, tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) in (["cache", "source"], ["source"])


def test_without_the_library_the_command_that_installs_it_is_named(
    tmp_path: Path, entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependency, match="pip install datasets"):
        fetch_dataset(entry, tmp_path / "data")


@pytest.mark.parametrize(
    ("record", "contents"),
    [
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"}, "sqa"),
        ({"instruction": "q", "input": "i", "output": "a", "id": 1}, ["q\n\ni", "a"]),
    ],
)
def test_forms_of_other_programs_are_found_by_their_columns(
    tmp_path: Path, record: dict[str, Any], contents: Sequence[str]
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.json").write_text(json.dumps(record) + "\n" + json.dumps(record) + "\n")
    entry = {"path": str(tmp_path / "set"), "train_split": "train", "valid_split": None}
    entry["config"] = {"cache_dir": str(tmp_path / "cache")}
    examples = open_folder(fetch_dataset(entry, tmp_path / "data")).train
    assert [message["content"] for message in examples[0].messages] == list(contents)
