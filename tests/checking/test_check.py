"""Promises of a data check: each fault is found with its severity and its file and line, and clean data has none."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from myna.checking import check
from myna.errors import DataError
from small_data import asked, chat, clean, found, pair, places, school, write

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_a_clean_folder_has_no_findings(tmp_path: Path) -> None:
    place = school(tmp_path / "databases" / "school.sqlite")
    questions = [asked("Who is older than 20?", "SELECT name FROM students WHERE age > 20")]
    folder = write(
        tmp_path, train=clean(0, 40) + questions, valid=clean(40, 50), test=clean(50, 60), databases={"school": place}
    )
    result = check(folder)
    assert result.findings == ()
    assert {split: summary.examples for split, summary in result.splits.items()} == {
        "train": 41,
        "valid": 10,
        "test": 10,
    }


FAULTS: list[tuple[str, str, Any]] = [
    ("unusable lines", "serious", b'{"messages": '),
    ("unusable lines", "serious", b"\xb1\xed\xc3\xfb"),
    ("unusable lines", "serious", '{"prompt": "a", "completion": "\\ud83d"}'),
    ("unusable lines", "serious", pair("What?", " \n")),
    ("empty answers", "serious", pair("What?", "\u200c \u200c")),
    ("incomplete SQL facts", "serious", chat("Who?", "SELECT 1", sql={"database": "school"})),
    ("database unknown", "serious", asked("Who?", "SELECT 1", database="nowhere")),
    ("lost characters", "warning", chat("Caf\ufffd?", "Yes")),
    ("wrongly decoded text", "warning", chat("CafÃ©?", "Yes")),
    ("wrongly decoded text", "warning", chat("锟斤拷锟斤拷", "Yes")),
    ("control characters", "warning", chat("Who\x1b[31m?", "Yes")),
    ("bidirectional controls", "warning", chat("Who?", "a\u202eb")),
    ("control tokens as text", "warning", chat("<|im_start|>user Who?", "Yes")),
    (
        "control tokens as text",
        "warning",
        {"text": "<s>a <|im_end|> b</s>"},
    ),
    ("invisible characters", "note", chat("\ufeffWho?", "Yes")),
    ("full-width letters", "note", chat("Ｗho?", "Yes")),
    ("not in NFC", "note", chat("Cafe\u0301?", "Yes")),
    ("texts without end", "note", {"text": "Once upon a time"}),
    ("secrets", "serious", chat("Who?", "ghp_0123456789abcdefghijABCDEFGHIJ012345")),
    ("passwords", "warning", chat("Who?", "PGPASSWORD=tr0ub4dor&3")),
    ("e-mail addresses", "warning", chat("Who?", "jane.doe@university.edu")),
]


@pytest.mark.parametrize(("kind", "severity", "record"), FAULTS)
def test_a_fault_is_found_at_its_line(kind: str, severity: str, record: Any, tmp_path: Path) -> None:
    folder = write(tmp_path, train=[*clean(0, 20), record, *clean(20, 30)], test=clean(30, 40))
    findings = found(folder)
    assert findings.keys() == {kind}
    finding = findings[kind]
    assert (finding.severity, finding.count, places(finding)) == (severity, 1, ["train.jsonl:21"])
    assert "1 in train.jsonl" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "<s>[INST] Who? [/INST] Ann</s>",
        "[INST] Who? [/INST] Ann</s><s>[INST] And? [/INST] Bob</s>",
        "Once upon a time<|endoftext|>",
    ],
)
def test_markers_that_the_prompt_builder_takes_as_meant_are_no_fault(text: str, tmp_path: Path) -> None:
    assert found(write(tmp_path, train=[{"text": text}, *clean(0, 5)])) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Où est la clé ? «\u00a0Déjà vu\u00a0» – ‚oui‘ …",
        "ÜBER STRASSE, SÃO PAULO, Â, Ã, d’été",
        "数据库里有多少个学生？（３）、「八哥」。".replace("３", "3"),
        "می‌خواهم",  # Persian is written with a joiner that nobody sees
        "👩‍💻 🇨🇭 שלום\u200f",
        "Тест: сколько студентов? Đã xong, Ærø",
        "a\tb\r\nc\fd",
        "(n)xá·š",
    ],
)
def test_texts_of_all_languages_are_no_fault(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps(chat(text, text + "!"), ensure_ascii=False) + "\n", "utf-8")
    assert found(folder) == {}


def test_only_the_first_places_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path, train=[chat(f"\x07 {word}", word) for word in "abcdefgh"], test=[chat("\x07", "z")])
    finding = found(folder)["control characters"]
    assert finding.count == 9
    assert places(finding) == [f"train.jsonl:{line}" for line in range(1, 6)]
    assert "(8 in train.jsonl, 1 in test.jsonl)" in finding.message


def test_a_file_of_which_nothing_can_be_used_is_a_finding_and_the_others_are_checked(tmp_path: Path) -> None:
    folder = write(tmp_path, train=['["one", "array"]'], test=clean(0, 3))
    findings = found(folder)
    assert findings["unusable file"].severity == "serious"
    assert findings["unusable file"].message.startswith("train.jsonl:1: this is a JSON array")
    assert check(folder).splits.keys() == {"test"}


def test_packed_files_are_checked_and_other_files_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, train=[*clean(0, 4), chat("Who?\x07", "Ann")], valid=clean(5, 8))
    (folder / "train.jsonl.gz").write_bytes(gzip.compress((folder / "train.jsonl").read_bytes()))
    (folder / "train.jsonl").unlink()
    (folder / "valid.jsonl").rename(folder / "valid.jsonl.bak")
    assert check(folder).splits.keys() == {"train"}
    assert places(found(folder)["control characters"]) == ["train.jsonl.gz:5"]


@pytest.mark.parametrize("content", [b"", b"{\n{\n", "{}\n".encode("utf-16")])
def test_a_folder_of_one_bad_file_is_a_finding(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(content)
    findings = found(tmp_path)
    assert findings.keys() == {"unusable file"}
    assert findings["unusable file"].message.startswith("train.jsonl")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no train\.jsonl \(the folder is empty\)"):
        check(tmp_path)


def test_the_gravest_findings_come_first(tmp_path: Path) -> None:
    records = [chat("Ｗho?", "Yes"), chat("a\x07", "No"), pair("a", "\u200b")]
    severities = [finding.severity for finding in check(write(tmp_path, train=records)).findings]
    assert severities == sorted(severities, key=["serious", "warning", "note"].index)
    assert len(set(severities)) == 3


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    def peak(name: str, words: int) -> int:
        records = [chat(f"Question {number}", f"word{number} " * words) for number in range(200)]
        folder = write(
            tmp_path / name, train=records, test=[chat(f"Other {number}", f"term{number}") for number in range(20)]
        )
        check(folder)  # what is imported and compiled on first use is not the data's
        tracemalloc.start()
        check(folder)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # 0.2 MB and 8 MB of text; a batch of signatures of long texts takes some megabytes more than one of short ones
    assert peak("long", 5_000) - peak("short", 100) < 12 * 2**20


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_the_ready_made_files_of_mlx_examples_have_two_questions_twice_and_no_end() -> None:
    findings = found(SHARED / "mlx_wikisql")
    assert places(findings["duplicates"]) == ["train.jsonl:162 = train.jsonl:161", "train.jsonl:516 = train.jsonl:515"]
    assert findings["texts without end"].count == 1200
    assert findings.keys() == {"duplicates", "texts without end"}
