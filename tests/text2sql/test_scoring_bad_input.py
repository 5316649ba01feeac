"""Promises of scoring under bad answers and broken databases: one costs one, and the run goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from myna.errors import DatabaseError, DataError, ResourceError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring import Progress, score, work
from myna.text2sql.scoring.places import Place
from myna.text2sql.scoring.work import Task, judge_all
from scored_data import GOLD, database, folder, line, predictions, school

FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
MILLION = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT i FROM n"


def test_sql_that_lasts_forever_costs_one_answer(tmp_path: Path) -> None:
    file = predictions(tmp_path / "p.sql", [FOREVER, *GOLD[1:]])
    result = score(school(tmp_path / "data"), predictions=file, workers=1, time_limit=0.5)
    first = result.answers[0].verdict
    assert (first.execution, first.valid, first.cause) == (False, True, "time limit")
    assert result.rates.execution.right == 5


def test_an_answer_with_a_million_rows_is_wrong_and_shown_in_a_few(tmp_path: Path) -> None:
    file = predictions(tmp_path / "p.sql", [MILLION, *GOLD[1:]])
    result = score(school(tmp_path / "data"), predictions=file, workers=1, output=tmp_path / "out")
    verdict = result.answers[0].verdict
    assert (verdict.execution, verdict.valid) == (False, True)
    assert verdict.predicted is not None
    assert verdict.predicted.truncated
    assert len(verdict.predicted.rows) == 5
    assert result.rates.execution.right == 5
    assert (tmp_path / "out" / "answers.jsonl").stat().st_size < 10_000


def test_no_answer_stops_a_run(tmp_path: Path) -> None:
    bad = [
        b"SELECT '\xff\xfe' FROM students",
        b"x" * 2**20,
        b"SELECT " + b"(" * 20_000,
        b"SELECT " + b"1 + " * 5_000 + b"1",
        b"SELECT randomblob(1000000000)",
        b"SELECT load_extension('x')",
        b"ATTACH 'x' AS y",
        b"\x00",
        b"SELECT '\x00'",
        "SELECT 名前 FROM students".encode(),
        "SELECT name FROM students\u2028WHERE age = 22".encode(),
    ]
    data = school(tmp_path / "data", [GOLD[0]] * len(bad) + [GOLD[0]])
    (tmp_path / "p.sql").write_bytes(b"\n".join([*bad, GOLD[0].encode()]) + b"\n")
    result = score(data, predictions=tmp_path / "p.sql", workers=1, output=tmp_path / "out", time_limit=5)
    right = [answer.verdict.execution for answer in result.answers]
    assert right[:-2] == [False] * (len(bad) - 1)
    assert right[-1]
    causes = [answer.verdict.cause for answer in result.answers]
    assert "not judged" not in causes
    assert all(answer.verdict.valid is not None for answer in result.answers)
    for line_ in (tmp_path / "out" / "answers.jsonl").read_bytes().splitlines():
        json.loads(line_)


@pytest.mark.parametrize(
    ("broken", "said"),
    [(b"", "school"), (b"this is no database" * 100, "school"), (b"SQLite format 3\x00" + b"\xff" * 4096, "school")],
    ids=["empty", "text", "corrupt"],
)
def test_a_broken_database_stops_the_scoring_with_its_name(tmp_path: Path, broken: bytes, said: str) -> None:
    data = school(tmp_path / "data")
    (data / "databases" / "school.sqlite").write_bytes(broken)
    with pytest.raises(DatabaseError, match=said):
        score(data, predictions=predictions(tmp_path / "p.sql", GOLD), workers=1)


def test_cells_of_every_kind_are_compared_and_shown(tmp_path: Path) -> None:
    script = """
        CREATE TABLE cells (id INTEGER, "a b" TEXT, "中文" BLOB, "order" REAL);
        INSERT INTO cells VALUES (1, 'naïve 雪', x'00ff', 1e308), (2, NULL, NULL, -0.0), (3, '', x'', 9e999);
    """
    path = database(tmp_path / "data" / "odd.sqlite", script)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO cells VALUES (4, CAST(x'ff41' AS TEXT), NULL, NULL)")
    connection.commit()
    connection.close()
    gold = ['SELECT * FROM cells ORDER BY "order", id', 'SELECT "a b" FROM cells', 'SELECT "中文" FROM cells']
    data = folder(path.parent, [line("q", SqlFacts("odd", sql)) for sql in gold], {"odd": "odd.sqlite"})
    right = score(data, predictions=predictions(tmp_path / "p.sql", gold), workers=1)
    assert right.rates.execution.right == 3
    file = predictions(tmp_path / "p.sql", ["SELECT 1"] * 3)
    wrong = score(data, predictions=file, workers=1, output=tmp_path / "out")
    assert wrong.rates.execution.right == 0
    shown = [answer.verdict.gold.rows for answer in wrong.answers if answer.verdict.gold]
    assert ("x'00ff'",) in shown[2]
    assert ("naïve 雪",) in shown[1]
    (tmp_path / "out" / "wrong.md").read_text("utf-8")


def test_a_process_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    """The system may end any process when memory is short; what it was at is asked again."""
    data = school(tmp_path / "data", [*GOLD] * 20)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.done in (10, 50):
            killed.extend(children_named("myna.text2sql.scoring.worker"))
            for pid in killed[-1:]:
                os.kill(pid, signal.SIGKILL)

    file = predictions(tmp_path / "p.sql", [*GOLD] * 20)
    result = score(data, predictions=file, workers=1, listener=kill)
    assert len(killed) == 2
    assert result.as_dict()["execution_accuracy"] == 1


def test_an_answer_that_ends_every_process_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends itself at one answer stands for a crash in a library below Python."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'myna.text2sql.scoring.worker' in ' '.join(sys.orig_argv):\n"
        "    from myna.text2sql import extraction\n"
        "    real = extraction.sql_from_answer\n"
        "    extraction.sql_from_answer = lambda text: os._exit(3) if text == 'crash' else real(text)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answers = [GOLD[0], "crash", *GOLD[2:]]
    result = score(school(tmp_path / "data"), predictions=predictions(tmp_path / "p.sql", answers), workers=1)
    assert [answer.verdict.execution for answer in result.answers] == [True, False, True, True, True, True]
    assert result.answers[1].verdict.cause == "not judged"
    assert result.answers[1].verdict.message == "the answer ended the process that judged it, twice"
    (note,) = result.notes
    assert "1 question could not be judged, which counts as wrong" in note


def test_an_answer_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "if 'myna.text2sql.scoring.worker' in ' '.join(sys.orig_argv):\n"
        "    from myna.text2sql import extraction\n"
        "    real = extraction.sql_from_answer\n"
        "    extraction.sql_from_answer = lambda text: time.sleep(3600) if text == 'hang' else real(text)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(work, "_PATIENCE", 2.0)
    monkeypatch.setattr(work, "_LOOK_EVERY", 0.2)
    answers = [GOLD[0], "hang", *GOLD[2:]]
    file = predictions(tmp_path / "p.sql", answers)
    result = score(school(tmp_path / "data"), predictions=file, workers=1, time_limit=0.5)
    assert [answer.verdict.execution for answer in result.answers] == [True, False, True, True, True, True]
    assert result.answers[1].verdict.message == "the answer took too long to judge"


def test_workers_that_can_not_start_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'myna.text2sql.scoring.worker' in ' '.join(sys.orig_argv):\n    os._exit(7)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ResourceError, match=r"ended as soon as it began \(exit code 7\)"):
        score(school(tmp_path / "data"), predictions=predictions(tmp_path / "p.sql", GOLD), workers=1)


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    data = school(tmp_path / "data", [*GOLD] * 10)
    place = Place(str(data / "databases" / "school.sqlite"))
    tasks = [Task(index, SqlFacts("school", sql), sql) for index, sql in enumerate([*GOLD] * 10)]
    verdicts = judge_all(tasks, {"school": place}, workers=2, seconds=10)
    next(verdicts)
    workers = children_named("myna.text2sql.scoring.worker")
    assert len(workers) == 2
    verdicts.close()  # as when the caller is interrupted
    assert children_named("myna.text2sql.scoring.worker") == []


def test_a_data_json_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    data = school(tmp_path / "data")
    file = predictions(tmp_path / "p.sql", GOLD)
    (data / "data.json").write_text("{")
    with pytest.raises(DataError, match=r"data\.json: can't be read"):
        score(data, predictions=file, workers=1)
    (data / "data.json").write_text('{"databases": ["school"]}')
    with pytest.raises(DataError, match='"databases" must say where each database is'):
        score(data, predictions=file, workers=1)


def test_a_database_s_name_is_no_path_out_of_the_folder(tmp_path: Path) -> None:
    database(tmp_path / "secret.sqlite")
    (tmp_path / "databases").mkdir()
    data = folder(tmp_path / "data", [line("q", SqlFacts("../secret", "SELECT 1"))], {})
    with pytest.raises(DataError, match=r"'\.\./secret' is neither in .*databases nor in data\.json"):
        score(data, predictions=predictions(tmp_path / "p.sql", ["SELECT 1"]), databases=tmp_path / "databases")


def children_named(name: str) -> list[int]:
    """Return the processes that this one started and whose command line has `name` in it."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, state, args in rows if name in args and not state.startswith("Z")]


if sys.platform == "win32":
    pytest.skip("processes are looked for with ps", allow_module_level=True)
