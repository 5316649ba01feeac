"""Promises of what goes into learning and what decides about it: corrections, their SQL, data, scores."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning_school import AGES, COUNT, LEARNT, NAMES, answers, correct, records, write_data, write_school
from myna.data.example import Example, Source
from myna.data.folder import open_folder
from myna.data.records import Keys, read_line
from myna.databases.allowed import allow
from myna.errors import DataError, RecipeError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.learning.checking import Checked, Lesson, check_corrections
from myna.text2sql.learning.databases import KnownDatabases
from myna.text2sql.learning.mixing import (
    Divided,
    Mix,
    divide,
    example_record,
    mix,
    training_records,
)
from myna.text2sql.learning.mixing import (
    test_questions as chosen_test_questions,
)
from myna.text2sql.learning.outcome import Change, decide, rates
from myna.text2sql.learning.reading import Correction, last_words, read_corrections
from myna.text2sql.learning.settings import Settings
from myna.text2sql.scoring.questions import read_questions
from scored_data import cities
from small_runs import write_lines

KEYS = Keys()
Three = tuple[Path, Path, Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Three:
    """A database, the data folder of a run on it, and what `myna ask` kept of two answers."""
    place = tmp_path_factory.mktemp("kept")
    school = write_school(place / "school.sqlite")
    file = correct(
        place / "corrections.jsonl", school, ("What are the ages?", "select age from students"), ("Who?", NAMES)
    )
    return school, write_data(place / "data", school), file


@pytest.fixture
def mine(kept: Three, tmp_path: Path) -> Three:
    """A copy of these that a test may change, as if all had been made there."""
    for each in kept:
        (shutil.copytree if each.is_dir() else shutil.copyfile)(each, tmp_path / each.name)
    school, data, file = (tmp_path / each.name for each in kept)
    for path in (file, data / "data.json"):
        path.write_text(path.read_text("utf-8").replace(str(kept[0].parent), str(tmp_path)), "utf-8")
    allow(str(school))
    return school, data, file


def checked(file: Path, known: KnownDatabases, **settings: Any) -> Checked:
    given = {"data": None, "other_databases": False, "time_limit": 5.0, **settings}
    return check_corrections(read_corrections(file), known, **given)


# The file


def test_what_ask_keeps_is_read_back(kept: Three) -> None:
    school, _, file = kept
    correction, _ = read_corrections(file)
    assert correction.question == "What are the ages?"
    assert correction.answer == AGES  # in the surface of training data
    assert correction.facts == SqlFacts(str(school), "select age from students", "correction")
    assert str(correction.source) == f"{file}:1"
    assert [message["role"] for message in correction.messages] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.pop("messages"), r':2: no "messages" key \(found: sql, correction\)'),
        (lambda line: line.pop("sql"), r':2: no "sql" key'),
        (lambda line: line.pop("correction"), r':2: no "correction" key .* so this is no line of corrections'),
        (lambda line: line["sql"].pop("gold"), r':2: "sql" needs a "gold"'),
        (lambda line: line["sql"].pop("database"), r':2: "sql" names no "database"'),
        (lambda line: line.update(sql="SELECT 1"), r':2: "sql" must be an object'),
        (lambda line: line["correction"].pop("question"), r':2: "correction" must say which question'),
        (lambda line: line.update(correction=None), r':2: "correction" must say which question'),
        (lambda line: line["messages"].pop(), r':2: "messages" has no assistant message'),
        (
            lambda line: line["messages"].append({"role": "user", "content": "And?"}),
            r":2: \"messages\" must end with the assistant's SQL, found a message of 'user'",
        ),
    ],
)
def test_a_line_that_is_no_correction_is_named_with_what_it_lacks(
    mine: Three, change: Callable[[Any], object], said: str
) -> None:
    file = mine[2]
    first, second = records(file)
    change(second)
    write_lines(file, [first, second])
    with pytest.raises(DataError, match=said):
        read_corrections(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "no corrections in it|the file is empty"),
        (b"SELECT 1\n", ":1: not JSON"),
        (b'{"messages": \xff}\n', ":1: not UTF-8"),
        (b"[]\n", "JSON array"),
        (b'{"text": "a story"}\n', r':1: no "messages" key \(found: text\)'),
    ],
)
def test_a_file_that_holds_no_corrections_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_corrections(tmp_path / "c.jsonl")
    with pytest.raises(DataError, match=r"none\.jsonl: no such file of corrections; myna ask keeps"):
        read_corrections(tmp_path / "none.jsonl")


def test_who_corrects_an_answer_twice_means_the_second_time(mine: Three) -> None:
    file = mine[2]
    ages, names = records(file)
    again = {**names, "correction": {"question": "what are  the AGES?"}}
    write_lines(file, [ages, names, again])
    assert [(each.source.line, each.answer) for each in last_words(read_corrections(file))] == [(3, NAMES), (2, NAMES)]


# Checking


def test_sql_that_no_longer_runs_is_left_out_with_the_database_s_message(mine: Three) -> None:
    school, data, file = mine
    write_school(school, "CREATE TABLE students (name TEXT, years INT); INSERT INTO students VALUES ('Ada', 20);")
    outcome = checked(file, KnownDatabases([data], None), data=data)
    assert [lesson.correction.question for lesson in outcome.lessons] == ["Who?"]
    (left_out,) = outcome.left_out
    assert (left_out.where, left_out.question) == (f"{file}:1", "What are the ages?")
    assert left_out.sql == "select age from students"
    assert "age" in left_out.reason
    assert any("since training column age is gone from students" in note for note in outcome.notes)
    assert any(f"changed since 2 of its corrections were asked (the first: {file}:1)" in note for note in outcome.notes)


def test_a_schema_that_has_grown_is_said(mine: Three) -> None:
    school, data, file = mine
    write_school(
        school, "CREATE TABLE students (name TEXT, age INT, city TEXT); INSERT INTO students (name) VALUES (1)"
    )
    outcome = checked(file, KnownDatabases([data], None), data=data)
    assert len(outcome.lessons) == 2
    (note,) = outcome.notes
    assert "since training column city is new in students; build its data again" in note


def test_an_answer_changed_by_hand_must_mean_what_its_gold_says(mine: Three) -> None:
    _, data, file = mine
    ages, names = records(file)
    ages["messages"][-1]["content"] = NAMES
    names["messages"][-1]["content"] = "SELECT name FROM students WHERE 1 = 1"
    write_lines(file, [ages, names])
    outcome = checked(file, KnownDatabases([data], None))
    assert [lesson.correction.question for lesson in outcome.lessons] == ["Who?"]
    assert "gives other rows than its gold SQL" in outcome.left_out[0].reason


def test_a_correction_of_another_database_is_left_out_unless_it_is_asked_for(mine: Three, tmp_path: Path) -> None:
    school, data, file = mine
    other = write_school(tmp_path / "copy.sqlite")
    allow(str(other))
    ages, names = records(file)
    ages["sql"]["database"] = str(other)
    write_lines(file, [ages, names])
    outcome = checked(file, KnownDatabases([data], None))
    assert [lesson.facts.database for lesson in outcome.lessons] == ["school"]
    (left_out,) = outcome.left_out
    assert left_out.reason == f"asks {other}, which the run's data does not know (it knows: school at {school})"
    known = KnownDatabases([data], None)
    both = checked(file, known, other_databases=True)
    assert [lesson.facts.database for lesson in both.lessons] == ["copy", "school"]
    assert known.places == {"school": str(school), "copy": str(other)}


def test_a_database_that_moved_is_known_where_it_is_now(mine: Three, tmp_path: Path) -> None:
    school, data, file = mine
    moved = tmp_path / "moved" / "school.sqlite"
    moved.parent.mkdir()
    school.rename(moved)
    allow(str(moved))
    file.write_text(file.read_text("utf-8").replace(str(school), str(moved)), "utf-8")
    known = KnownDatabases([data], None)
    assert [lesson.facts.database for lesson in checked(file, known).lessons] == ["school", "school"]
    assert known.places == {"school": str(moved)}
    assert KnownDatabases([data], moved.parent).places == {"school": str(moved)}


def test_a_database_that_cannot_be_opened_leaves_its_corrections_out(mine: Three) -> None:
    school, data, file = mine
    school.write_bytes(b"SQLite format 3\0 but no database")
    outcome = checked(file, KnownDatabases([data], None), data=data)
    assert not outcome.lessons
    assert [bool(each.reason) for each in outcome.left_out] == [True, True]


# Dividing and mixing


def lesson(question: str, sql: str, meaning: str | None = None, line: int = 1) -> Lesson:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": sql})
    facts = SqlFacts("school", sql, "correction")
    return Lesson(Correction(Source("c.jsonl", line), question, messages, facts, {}), facts, meaning or sql)


@given(
    meanings=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    later=st.lists(st.integers(31, 60), max_size=20),
    share=st.floats(0, 0.9),
    seed=st.integers(0, 5),
)
def test_corrections_with_the_same_sql_stay_together_and_neither_side_is_empty(
    meanings: list[int], later: list[int], share: float, seed: int
) -> None:
    lessons = [lesson(f"q{number}", "SELECT 1", f"m{meaning}", number) for number, meaning in enumerate(meanings, 1)]
    divided = divide(lessons, share, seed)
    trained, held_out = ({each.meaning for each in side} for side in (divided.trained, divided.held_out))
    assert not trained & held_out
    together = sorted(divided.trained + divided.held_out, key=lambda each: each.correction.source.line)
    assert together == lessons
    assert trained
    assert bool(held_out) == (share > 0 and len(lessons) >= 5 and len(set(meanings)) > 1)
    assert divide(lessons, share, seed) == divided
    grown = divide([*lessons, *(lesson("new", "SELECT 1", f"m{meaning}") for meaning in later)], share, seed)
    moved = trained & {each.meaning for each in grown.held_out}
    assert len(moved) <= 1 or not held_out  # one may have stayed only so that something was left to learn


def test_spelling_makes_no_difference_to_what_sql_means(mine: Three) -> None:
    _, data, file = mine
    ages, names = records(file)
    spelt = json.loads(json.dumps(names).replace(NAMES, "select Name from Students"))
    write_lines(file, [ages, names, spelt])
    first, second, third = (each.meaning for each in checked(file, KnownDatabases([data], None)).lessons)
    assert first != second == third


@given(corrections=st.integers(1, 500), step=st.integers(1, 64), replay=st.floats(0, 20))
def test_each_correction_is_learnt_often_enough_and_replay_keeps_its_ratio(
    corrections: int, step: int, replay: float
) -> None:
    amounts = mix(corrections, step, replay)
    learnt = corrections * amounts.repeats
    assert amounts.repeats >= 8
    assert abs(amounts.replayed - replay * learnt) <= 0.5
    assert learnt + amounts.replayed >= 40 * step - 1


def test_replay_is_the_same_for_a_seed_and_repeats_what_is_too_little(kept: Three) -> None:
    original = open_folder(kept[1])
    divided = Divided((lesson("What are the ages?", AGES),), ())

    def lines(replayed: int, seed: int = 0) -> list[str]:
        records = training_records(divided, original, Mix(2, replayed), keys=KEYS, seed=seed)
        return [json.dumps(record) for record in records]

    assert lines(2) == lines(2)
    assert len({tuple(lines(2, seed)) for seed in range(8)}) > 1
    assert [json.loads(line)["messages"][-1]["content"] for line in lines(0)] == [AGES, AGES]
    repeated = Counter(lines(10)[2:])
    assert len(repeated) == 4
    assert sorted(repeated.values()) == [2, 2, 3, 3]


def test_an_original_line_that_repeats_a_corrected_mistake_is_never_replayed(kept: Three) -> None:
    original = open_folder(kept[1])
    asked = ("LIST  all.", AGES), ("Count them.", COUNT)
    divided = Divided(tuple(lesson(*pair) for pair in asked), ())
    taught = answers(training_records(divided, original, Mix(1, 30), keys=KEYS, seed=0))
    assert Counter(taught) == {AGES: 1, COUNT: 1 + 20, NAMES: 10}  # "List all." was one of the two for names
    everything = Divided(tuple(lesson(question, AGES) for question, _ in LEARNT), ())
    with pytest.raises(DataError, match="corrections answer every line of it otherwise"):
        list(training_records(everything, original, Mix(1, 1), keys=KEYS, seed=0))


def test_a_test_question_that_is_learnt_as_a_correction_is_no_test(kept: Three) -> None:
    test = open_folder(kept[1]).test
    divided = Divided((lesson("count them.", AGES),), (lesson("List all.", NAMES),))
    chosen, notes = chosen_test_questions(divided, test, None)
    assert [read.messages[1]["content"] for read in chosen] == ["Who is here?", "List all.", "How many are there?"]
    assert notes == (
        f"{test.path if test else ''}: 1 of its questions are corrections that are trained, and not scored as a test",
    )
    assert len(chosen_test_questions(divided, test, 2)[0]) <= 2
    assert chosen_test_questions(divided, None, None)[0] == []


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip)
_FACTS = st.none() | st.builds(lambda gold: {"database": "d", "gold": gold}, _TEXT)
_CHAT = st.builds(
    lambda question, answer: ({"role": "user", "content": question}, {"role": "assistant", "content": answer}),
    _TEXT,
    _TEXT,
)


@given(
    st.one_of(
        st.builds(lambda text, sql: Example("text", Source("f", 1), text=text, sql=sql), _TEXT, _FACTS),
        st.builds(lambda chat, sql: Example("completion", Source("f", 1), messages=chat, sql=sql), _CHAT, _FACTS),
        st.builds(
            lambda chat, sql: Example("chat", Source("f", 1), messages=chat, tools=({"name": "t"},), sql=sql),
            _CHAT,
            _FACTS,
        ),
    )
)
def test_an_example_is_written_as_it_was_read_under_the_run_s_own_keys(example: Example) -> None:
    keys = Keys("story", "q", "a", "turns")
    line = json.dumps(example_record(example, keys), ensure_ascii=False).encode()
    assert read_line(line, keys, Source("f", 1)) == example


def test_learnt_data_keeps_the_files_of_the_benchmark_s_own_evaluator(tmp_path: Path) -> None:
    data = cities(tmp_path / "cities")
    note = json.loads((data / "data.json").read_text("utf-8"))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "test.jsonl").write_bytes((data / "test.jsonl").read_bytes())
    places = {name: str(data / place) for name, place in note["databases"].items()}
    (copy / "data.json").write_text(json.dumps({"databases": places, "official": str(data / "official")}))
    allow(*places.values(), str(data / "official"))
    of_copy, of_data = (read_questions(folder, "test", size=None, databases=None).places for folder in (copy, data))
    assert of_copy["cities"].official == of_data["cities"].official == str(data / "official" / "cities.db")


# Choosing


def changes(**kinds: str) -> list[Change]:
    """Return questions of groups, given as `test="fixed, still right"`."""
    return [
        Change(kind, group.replace("_", " "), "f:1", "q", "g", "b", "a")  # type: ignore[arg-type]
        for group, listed in kinds.items()
        for kind in listed.split(", ")
    ]


@pytest.mark.parametrize(
    ("kinds", "kept", "why"),
    [
        ({"test": "fixed, still right"}, "new", "it is right on 2 instead of 1 of 2 questions (the test)"),
        ({"test": "newly wrong, still right"}, "old", "it is right on 2 instead of 1 of 2 questions (the test)"),
        (
            {"test": "newly wrong", "held_out": "fixed, fixed"},
            "new",
            "it is right on 2 instead of 1 of 3 questions (the test and held-out corrections)",
        ),
        (
            {"test": "still right", "trained": "fixed, still wrong"},
            "new",
            "both are right on 1 of 1 questions (the test), but it is right on 1 instead of 0 of 2 corrections",
        ),
        (
            {"test": "still right", "trained": "still right"},
            "old",
            "both are right on 1 of 1 questions (the test), and the new one is not right on more corrections",
        ),
        (
            {"test": "fixed, newly wrong", "trained": "newly wrong"},
            "old",
            "both are right on 1 of 2 questions (the test), and the new one is not right on more corrections",
        ),
        (
            {"test": "newly wrong, still right", "trained": "fixed, fixed, fixed"},
            "old",
            "it is right on 2 instead of 1 of 2 questions (the test)",
        ),
    ],
)
def test_the_adapter_that_is_right_more_often_on_what_it_has_not_seen_is_kept(
    kinds: dict[str, str], kept: str, why: str
) -> None:
    verdict = decide(changes(**kinds))
    assert (verdict.kept, verdict.why) == (kept, why)


def test_rates_are_those_of_the_changes() -> None:
    both = rates(changes(test="fixed, still right, newly wrong, still wrong", trained="fixed"))
    assert {group: (each.before.right, each.after.right, each.after.of) for group, each in both.items()} == {
        "test": (2, 2, 4),
        "trained": (0, 1, 1),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("replay", -1.0),
        ("replay", float("inf")),
        ("held_out", 1.0),
        ("held_out", -0.1),
        ("iters", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("seed", -1),
        ("size", 0),
        ("time_limit", 0.0),
        ("max_tokens", 0),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    good: dict[str, Any] = {
        **{"other_databases": False, "replay": 3.0, "held_out": 0.2, "iters": None, "learning_rate": None},
        **{"seed": None, "size": None, "constrain": "off", "time_limit": 10.0, "max_tokens": 256},
    }
    Settings(**good)
    with pytest.raises(RecipeError, match=f"{name} is {value}; expected"):
        Settings(**{**good, name: value})
