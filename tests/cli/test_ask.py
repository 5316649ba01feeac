"""Promises of `myna ask` with a real model that learnt one query by heart: output, exit codes, and the conversation."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from myna import training
from myna.cli import main
from myna.databases import Database
from myna.text2sql.asking import Asker
from scripted_answers import Scripted
from small_runs import one_layer, small_recipe, write_lines

SQL = "SELECT name, age FROM students"
SCHOOL = """
CREATE TABLE students (name TEXT, age INTEGER);
INSERT INTO students VALUES ('Ada', 20), ('[red]Bob', 22), ('x' || char(27) || '[2J', NULL);
"""
QUESTIONS = ["Who is here?", "List all.", "What are the ages?", "How old is Ada?"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database, and a run whose adapter answers everything with one query."""
    place = tmp_path_factory.mktemp("asked")
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")  # what every test here gets from `place`
    connection = sqlite3.connect(place / "school.sqlite")
    connection.executescript(SCHOOL)
    connection.close()
    with Database.open(place / "school.sqlite") as database, Asker(database, Scripted()) as asker:
        facts = {"database": "school", "gold": SQL}
        lines = [
            {"messages": [*asker.brief(question).messages, {"role": "assistant", "content": SQL}], "sql": facts}
            for question in QUESTIONS
        ]
    (place / "data").mkdir()
    for split in ("train", "valid"):
        write_lines(place / "data" / f"{split}.jsonl", lines * 2)
    (place / "data" / "data.json").write_text(json.dumps({"databases": {"school": str(place / "school.sqlite")}}))
    recipe = small_recipe(
        one_layer(place / "model"),
        place / "data",
        place / "run",
        iters=60,
        fine_tune_type="full",
        num_layers=-1,  # the embeddings too: the end token is in them
        steps_per_eval=60,
        save_every=60,
        lora_parameters={"rank": 2, "scale": 2.0, "dropout": 0.0},
    )
    training.train(recipe)
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the user is in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(trained / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "school.sqlite").write_bytes((trained / "school.sqlite").read_bytes())
    (tmp_path / "run").symlink_to(trained / "run")
    return tmp_path


ASK = ["ask", "school.sqlite"]
MODEL = ["--adapter-path", "run", "--dtype", "float32", "--device", "cpu", "-m", "48"]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main([*ASK, *arguments, *MODEL]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    out, _ = printed(capsys, *arguments, "--json", code=code)
    assert out.count("\n") == 1
    return json.loads(out)


def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *lines: str) -> tuple[str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return printed(capsys)


def test_a_question_gives_its_sql_and_then_its_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "Who is here?", "--explain")
    assert out.splitlines() == [
        SQL,
        "Reads students.",
        "Shows name and age.",
        "",
        "name       age",
        "────────  ────",
        "Ada         20",
        "[red]Bob    22",
        r"x\x1b[2J  NULL",
        "(3 rows)",
    ]
    assert err == ""


def test_a_program_reads_the_agreed_keys(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = as_json(capsys, "Who is here?", "--explain", "--language", "zh")
    assert {"sql", "columns", "rows", "repairs"} <= value.keys()
    assert (value["sql"], value["columns"], value["repairs"]) == (SQL, ["name", "age"], 0)
    assert value["rows"] == [["Ada", 20], ["[red]Bob", 22], ["x\x1b[2J", None]]
    assert value["explanation"] == ["读取「students」。", "显示「name」、「age」。"]


def test_only_the_sql_is_printed_when_only_that_is_wished(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "Who is here?", "--sql-only")[0] == f"{SQL}\n"
    assert main([*ASK, "Who?", "--sql-only", "--chart", *MODEL]) == 2
    assert "--sql-only" in capsys.readouterr().err


def test_candidates_that_agree_are_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = as_json(capsys, "Who is here?", "--samples", "3")
    assert (value["sql"], value["of"]) == (SQL, 3)
    assert 1 <= value["agreed"] <= 3
    assert f"{value['agreed']} of 3 candidates agree" in printed(capsys, "Who is here?", "--samples", "3")[1]


def test_a_chart_is_drawn_or_refused_with_a_reason(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No chart: a chart needs one column of numbers" in printed(capsys, "Who is here?", "--chart")[0]
    connection = sqlite3.connect("school.sqlite")
    connection.execute("UPDATE students SET age = 11 WHERE age IS NULL")
    connection.commit()
    connection.close()
    assert "Ada      │███" in printed(capsys, "Who is here?", "--chart")[0]


def test_no_answer_is_said_with_the_best_query_and_exit_code_1(
    trained: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = sqlite3.connect("school.sqlite")
    connection.execute("ALTER TABLE students RENAME COLUMN age TO years")
    connection.close()
    out, err = printed(capsys, "Who is here?", "--constrain", "off", code=1)
    assert out == f"{SQL}\n"
    assert "Note: since training column age is gone from students" in err
    assert "Note: since training column years is new in students" in err
    assert "error: no answer: the query fails after 2 repairs" in err
    value = as_json(capsys, "Who is here?", "--constrain", "off", "--repairs", "0", code=1)
    assert (value["sql"], value["rows"], value["error"]["type"]) == (SQL, [], "QueryError")


def test_what_is_wrong_is_said_before_a_model_is_loaded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "school.sqlite", "Who?"]) == 2
    assert "no model" in capsys.readouterr().err
    assert main([*ASK, "Who?", "--time-limit", "0", *MODEL]) == 2
    assert "--time-limit 0: expected seconds" in capsys.readouterr().err
    assert main(["ask", "nowhere.sqlite", "Who?", "--model", "no-such-model"]) == 1
    assert "nowhere.sqlite" in capsys.readouterr().err
    assert main(["ask", "postgresql://me:secret@@host/x", "Who?", "--model", "m"]) == 1
    assert "secret" not in capsys.readouterr().err


# The conversation


def test_a_conversation_answers_saves_and_learns(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = typed(
        capsys,
        monkeypatch,
        "Who is here?",
        "\\good",
        "\\good",
        "\\fix SELECT name FROM students WHERE age > 21",
        "\\good",
        "\\sql",
        "\\explain",
        "\\save out.csv",
        "\\save out.json",
        "\\save out.csv",
        "\\quit",
        "never asked",
    )
    assert err.splitlines() == [
        "Kept in corrections.jsonl.",
        "It is in corrections.jsonl already.",
        "Kept in corrections.jsonl.",
        "It is in corrections.jsonl already.",
        "Saved 1 row in out.csv.",
        "Saved 1 row in out.json.",
        "error: out.csv: exists already; name a new file",
    ]
    assert "[red]Bob\n(1 row)" in out
    assert out.endswith(
        "SELECT name FROM students WHERE age > 21\nReads students.\nTakes the rows where age is greater "
        "than 21.\nShows name.\n"
    )
    kept = [json.loads(line) for line in Path("corrections.jsonl").read_text("utf-8").splitlines()]
    assert [line["correction"]["kind"] for line in kept] == ["confirmed", "corrected"]
    assert [line["sql"]["gold"] for line in kept] == [SQL, "SELECT name FROM students WHERE age > 21"]
    assert kept[1]["correction"]["answered"] == SQL
    saved = Path("out.csv").read_text("utf-8").splitlines()
    assert list(csv.reader(saved)) == [["name"], ["[red]Bob"]]
    assert json.loads(Path("out.json").read_text("utf-8"))["rows"] == [["[red]Bob"]]


def test_an_error_ends_a_line_and_never_the_conversation(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = typed(
        capsys,
        monkeypatch,
        "\\good",
        "\\fix SELECT 1",
        "\\sql",
        "\\shema",
        "\\schema pupils",
        "\\save x.csv",
        "\\sql DROP TABLE students",
        "\\sql SELECT years FROM students",
        "Who is here?",
        "\\fix DELETE FROM students",
        "\\fix",
        "\\save x.xlsx",
        "\\schema STUDENTS",
        "\\help",
    )
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 11
    assert "did you mean '\\schema'" in errors[3]
    assert "did you mean" not in errors[0]
    assert SQL in out
    assert "students(name text, age number)" in out
    assert "\\fix SELECT …" in out
    assert not Path("corrections.jsonl").exists()
    assert not Path("x.csv").exists()


def test_a_conversation_as_json_is_one_object_with_all_answers(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)  # as where it is not installed
    monkeypatch.setattr(sys, "stdin", io.StringIO("Who is here?\n\nWho was there?"))
    answers = as_json(capsys)["answers"]
    assert [answer["question"] for answer in answers] == ["Who is here?", "Who was there?"]
    assert all(answer["sql"] == SQL for answer in answers)
    assert all("not held to the schema" in answer["notes"][0] for answer in answers)


def test_a_note_is_shown_once_in_a_conversation(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    _, err = typed(capsys, monkeypatch, "Who is here?", "Who was there?")
    assert err.count("Note: answers are not held to the schema") == 1


# A terminal


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_lines_are_completed_remembered_and_ctrl_c_ends_only_the_question(place: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "24"}
    endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c"
    command = [sys.executable, "-m", "myna", *ASK, *MODEL, "--time-limit", "600"]
    process = subprocess.Popen(
        command,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        cwd=place,
        start_new_session=True,
    )
    os.close(follower)
    terminal = _Terminal(leader)
    try:
        terminal.wait_for("> ")
        terminal.type("\\sql SELECT na\t FROM stu\t\n")  # completed to name and students
        terminal.wait_for("(3 rows)")
        terminal.wait_for("> ")  # what is typed before, the terminal itself would read
        assert "\x1b[2J" not in terminal.seen
        assert r"x\x1b[2J" in terminal.seen
        terminal.type(f"\\sql {endless}\n")
        terminal.wait_for("Running the query")
        os.killpg(process.pid, signal.SIGINT)
        terminal.wait_for("Stopped.")
        terminal.wait_for("> ")
        terminal.type("\\sql SELECT 17 + 4\n")
        terminal.wait_for("21")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    history = place / "state" / "myna" / "ask_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "\\sql SELECT name FROM students" in history.read_text("utf-8")


class _Terminal:
    """What a person at a pseudo-terminal types and sees."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""
        self._looked_at = 0

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until `text` was seen behind what was waited for before."""
        while (found := self.seen.find(text, self._looked_at)) < 0:
            ready, _, _ = select.select([self._descriptor], [], [], 120)  # far beyond what any step takes
            assert ready, f"{text!r} never came:\n{self.seen}"
            self.seen += os.read(self._descriptor, 65536).decode("utf-8", "replace")
        self._looked_at = found + len(text)
