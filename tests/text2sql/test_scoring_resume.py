"""Promises of interrupted scorings: nothing judged is judged again, and the result is the same, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from myna.errors import Interrupted, RunError
from myna.text2sql.scoring import Progress, score
from scored_data import GOLD, predictions, school

MANY = [*GOLD] * 8
ANSWERS = [sql if index % 4 else "SELECT name FROM students" for index, sql in enumerate(MANY)]
RESULTS = ("score.json", "answers.jsonl", "wrong.md")

SCORE = """
import sys
from myna.text2sql.scoring import score

def told(progress):
    print(progress.done, flush=True)

score(sys.argv[1], predictions=sys.argv[2], output=sys.argv[3], workers=1, listener=told)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, `p.sql` and `out`, a scoring that nothing interrupted."""
    place = tmp_path_factory.mktemp("whole")
    file = predictions(place / "p.sql", ANSWERS)
    score(school(place / "data", MANY), predictions=file, output=place / "out", workers=1)
    return place


def contents(folder: Path) -> dict[str, bytes]:
    files = {name: (folder / name).read_bytes() for name in RESULTS}
    shown = json.loads(files["score.json"])
    return {**files, "score.json": json.dumps({**shown, "output": None}).encode()}


def lines(folder: Path) -> list[bytes]:
    return (folder / "journal.jsonl").read_bytes().splitlines()


def judged(folder: Path) -> list[int]:
    return [json.loads(line)["question"] for line in lines(folder) if b'"verdict"' in line]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_scoring_goes_on_where_it_was(whole: Path, tmp_path: Path, number: signal.Signals) -> None:
    data, file = whole / "data", whole / "p.sql"
    command = [sys.executable, "-c", SCORE, str(data), str(file), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        process.send_signal(number)
    before = judged(tmp_path / "killed")
    assert 20 <= len(before) < len(MANY)
    assert not (tmp_path / "killed" / "score.json").exists()
    heard: list[Progress] = []
    score(data, predictions=file, output=tmp_path / "killed", workers=2, listener=heard.append)
    assert len(heard) == len(MANY) - len(before)
    assert sorted(judged(tmp_path / "killed")) == list(range(len(MANY)))
    assert contents(tmp_path / "killed") == contents(whole / "out")


def test_a_torn_last_line_is_judged_again(whole: Path, tmp_path: Path) -> None:
    data, file = whole / "data", whole / "p.sql"
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "journal.jsonl").write_bytes(b"\n".join(lines(whole / "out")[:30])[:-10])
    heard: list[Progress] = []
    score(data, predictions=file, output=tmp_path / "torn", workers=1, listener=heard.append)
    assert len(heard) == len(MANY) - 28
    assert contents(tmp_path / "torn") == contents(whole / "out")


def test_ctrl_c_says_what_is_kept(whole: Path, tmp_path: Path) -> None:
    data, file = whole / "data", whole / "p.sql"

    def press(progress: Progress) -> None:
        if progress.done == 9:
            os.kill(os.getpid(), signal.SIGINT)

    said = r"48 of 48 questions answered and 9 judged, all kept in .*out; the same command goes on"
    with pytest.raises(Interrupted, match=said):
        score(data, predictions=file, output=tmp_path / "out", workers=2, listener=press)
    with pytest.raises(Interrupted, match="nothing is kept, because no folder"):
        score(data, predictions=file, workers=2, listener=press)
    heard: list[Progress] = []
    score(data, predictions=file, output=tmp_path / "out", workers=2, listener=heard.append)
    assert heard[0].done == 10


def test_an_unfinished_scoring_of_something_else_is_refused_and_named(whole: Path, tmp_path: Path) -> None:
    data, file = school(tmp_path / "data", MANY), whole / "p.sql"
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    journal = b"\n".join(lines(whole / "out")[:10]) + b"\n"
    (unfinished / "journal.jsonl").write_bytes(journal)
    other = predictions(tmp_path / "other.sql", MANY)
    said = r"unfinished scoring of something else \(what differs: predictions\).*name another one with --out"
    with pytest.raises(RunError, match=said):
        score(data, predictions=other, output=unfinished, workers=1)
    with pytest.raises(RunError, match=r"what differs: time_limit"):
        score(data, predictions=file, output=unfinished, workers=1, time_limit=5)
    assert (unfinished / "journal.jsonl").read_bytes() == journal
    (data / "test.jsonl").write_text((data / "test.jsonl").read_text().replace("question 1", "question one"))
    with pytest.raises(RunError, match=r"what differs: data"):
        score(data, predictions=file, output=unfinished, workers=1)


def test_a_changed_database_is_something_else(tmp_path: Path) -> None:
    data, file = school(tmp_path / "data", MANY), predictions(tmp_path / "p.sql", ANSWERS)
    score(data, predictions=file, output=tmp_path / "out", workers=1)
    (tmp_path / "out" / "journal.jsonl").write_bytes(b"\n".join(lines(tmp_path / "out")[:-1]) + b"\n")
    import sqlite3

    connection = sqlite3.connect(data / "databases" / "school.sqlite")
    connection.execute("UPDATE students SET age = 23 WHERE id = 2")
    connection.commit()
    connection.close()
    with pytest.raises(RunError, match=r"what differs: data"):
        score(data, predictions=file, output=tmp_path / "out", workers=1)


def test_a_finished_scoring_is_not_done_again(tmp_path: Path) -> None:
    data, file = school(tmp_path / "data", MANY), predictions(tmp_path / "p.sql", ANSWERS)
    first = score(data, predictions=file, output=tmp_path / "out", workers=1)
    journal = (tmp_path / "out" / "journal.jsonl").read_bytes()
    heard: list[Progress] = []
    again = score(data, predictions=file, output=tmp_path / "out", workers=1, listener=heard.append)
    assert heard == []
    assert again == first
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == journal


def test_finished_scores_of_something_else_are_never_replaced(tmp_path: Path) -> None:
    data, file = school(tmp_path / "data", source="spider"), predictions(tmp_path / "p.sql", GOLD)
    score(data, predictions=file, output=tmp_path / "out", workers=1)
    kept = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert tmp_path / "out" / "official" / "spider" / "gold.sql" in kept
    other = predictions(tmp_path / "n.sql", [""] * 6)
    said = r"out: holds the scores of something else \(what differs: predictions\); name another folder with --out"
    with pytest.raises(RunError, match=said):
        score(data, predictions=other, output=tmp_path / "out", workers=1)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == kept


def test_a_file_that_is_no_journal_is_said(tmp_path: Path) -> None:
    data, file = school(tmp_path / "data"), predictions(tmp_path / "p.sql", GOLD)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal.jsonl").write_text('{"dear": "diary"}\n')
    with pytest.raises(RunError, match="not the journal of a scoring"):
        score(data, predictions=file, output=tmp_path / "out", workers=1)
