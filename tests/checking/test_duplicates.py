"""Promises about the same example twice: copies are found through white space and case, across formats and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.checking.content import Content
from myna.checking.near_duplicates import SIMILAR, HeldOut, similarity
from small_data import asked, chat, clean, found, pair, places, school, write

QUESTION, ANSWER = "Which of the students are older than 20?", "SELECT name FROM students WHERE age > 20"
LONG = (
    "The operator reconciles the cluster every few seconds and starts a new instance where one is lost. "
    "Backups go to an object store; the write-ahead log is archived there too, so that any moment can be restored."
)


@pytest.mark.parametrize(
    "copy",
    [
        chat(QUESTION, ANSWER),
        chat(f"  {QUESTION.upper()}\n", ANSWER.lower()),
        chat(QUESTION.replace(" ", "\t "), f"{ANSWER} ;"),
        pair(QUESTION, ANSWER),
        {"text": f"Q: {QUESTION}\nA: {ANSWER}</s>"},
    ],
)
def test_an_example_in_train_and_test_is_serious_however_it_is_spaced_and_written(
    copy: dict[str, Any], tmp_path: Path
) -> None:
    original = {"text": f"Q: {QUESTION}\nA: {ANSWER}</s>"} if "text" in copy else chat(QUESTION, ANSWER)
    folder = write(tmp_path, train=[*clean(0, 5), original], test=[*clean(10, 12), copy])
    findings = found(folder)
    assert findings.keys() == {"leaked examples"}
    assert findings["leaked examples"].severity == "serious"
    assert findings["leaked examples"].count == 1
    assert places(findings["leaked examples"]) == ["test.jsonl:3 = train.jsonl:6"]


def test_an_example_in_train_and_valid_is_a_warning(tmp_path: Path) -> None:
    leaked = found(write(tmp_path, train=clean(0, 20), valid=clean(19, 25)))["leaked examples"]
    assert (leaked.severity, places(leaked)) == ("warning", ["valid.jsonl:1 = train.jsonl:20"])


def test_an_example_twice_in_a_split_is_a_warning(tmp_path: Path) -> None:
    folder = write(tmp_path, train=[*clean(0, 8), *clean(3, 5), *clean(3, 4)])
    findings = found(folder)
    assert findings.keys() == {"duplicates"}
    duplicates = findings["duplicates"]
    assert (duplicates.severity, duplicates.count) == ("warning", 3)
    assert places(duplicates) == [
        f"train.jsonl:{again} = train.jsonl:{first}" for again, first in ((9, 4), (10, 5), (11, 4))
    ]


def test_answers_that_contradict_each_other_are_serious_unless_they_are_few(tmp_path: Path) -> None:
    two = [chat("Who?", "Ann"), chat("who? ", "Bob")]
    few = found(write(tmp_path / "few", train=[*clean(0, 10), *two]))["contradicting answers"]
    assert (few.severity, few.count, places(few)) == ("serious", 2, ["train.jsonl:11 ≠ train.jsonl:12"])
    assert few.examples[0].excerpt == "Ann | Bob"
    numbered = [pair(f"{number}?", f"{number * number}") for number in range(400)]
    many = found(write(tmp_path / "many", train=[*numbered, *two]))["contradicting answers"]
    assert (many.severity, many.count) == ("warning", 2)


def test_the_same_prompt_with_another_answer_in_test_is_leakage_and_contradiction(tmp_path: Path) -> None:
    folder = write(tmp_path, train=[*clean(0, 5), chat("Who?", "Ann")], test=[chat("Who?", "Bob")])
    findings = found(folder)
    assert findings.keys() == {"leaked prompts", "contradicting answers"}
    assert places(findings["leaked prompts"]) == ["test.jsonl:1 = train.jsonl:6"]
    assert places(findings["contradicting answers"]) == ["train.jsonl:6 ≠ test.jsonl:1"]


def test_one_answer_after_another_system_message_or_turn_is_no_contradiction(tmp_path: Path) -> None:
    def after(system: str, answer: str) -> dict[str, Any]:
        example = chat("Who?", answer)
        return {"messages": [{"role": "system", "content": system}, *example["messages"]]}

    assert found(write(tmp_path, train=[after("Schema A", "Ann"), after("Schema B", "Bob"), *clean(0, 3)])) == {}


def test_a_query_that_is_asked_in_other_words_in_test_is_a_note(tmp_path: Path) -> None:
    place = school(tmp_path / "school.sqlite")
    train, test = [asked(QUESTION, ANSWER)], [asked("Name everybody above twenty", ANSWER)]
    findings = found(write(tmp_path, train=train, test=test, databases={"school": place}))
    assert findings.keys() == {"same query"}
    assert findings["same query"].severity == "note"


def test_one_answer_for_most_examples_is_a_warning(tmp_path: Path) -> None:
    records = [chat(f"Is {number} even?", "no" if number % 3 else f"yes, {number}") for number in range(12)]
    finding = found(write(tmp_path, train=records))["one answer for most"]
    assert (finding.severity, finding.count, places(finding)) == ("warning", 8, ["train.jsonl:2"])


@pytest.mark.parametrize(
    ("original", "copy"),
    [
        (chat("How do backups work?", LONG), chat("How do backups work?!", LONG.replace("few seconds", "minute"))),
        ({"text": LONG}, {"text": LONG.replace("Backups go", "A backup goes")}),
        (pair(LONG, "yes"), pair(f"{LONG} Always.", "yes")),
        (
            chat("有多少个学生的年龄大于二十岁并且住在上海市浦东新区？", LONG),
            chat("有多少个学生的年龄大于二十岁并且住在上海市浦东新区", LONG),
        ),
    ],
)
def test_a_near_duplicate_across_splits_is_found(
    original: dict[str, Any], copy: dict[str, Any], tmp_path: Path
) -> None:
    end = {"text": f"{original['text']}</s>"} if "text" in original else original
    nearly = {"text": f"{copy['text']}</s>"} if "text" in copy else copy
    folder = write(tmp_path, train=[*clean(0, 5), end], valid=clean(20, 25), test=[*clean(10, 13), nearly])
    findings = found(folder)
    assert findings.keys() == {"near-duplicates"}
    assert findings["near-duplicates"].severity == "warning"
    assert places(findings["near-duplicates"]) == ["test.jsonl:4 ≈ train.jsonl:6"]


def test_a_shared_schema_does_not_make_questions_near_duplicates(tmp_path: Path) -> None:
    schema = "CREATE TABLE " + ", ".join(f"column_{number} text" for number in range(60))

    def question(number: int) -> dict[str, Any]:
        example = clean(number, number + 1)[0]
        return {"messages": [{"role": "system", "content": schema}, *example["messages"]]}

    folder = write(
        tmp_path, train=[question(number) for number in range(30)], test=[question(number) for number in range(30, 50)]
    )
    assert found(folder) == {}


LETTERS = st.text("abcde 学生", min_size=30, max_size=90)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.builds(Content, LETTERS, LETTERS), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 25), st.sampled_from("xyz")), max_size=8),
)
def test_the_index_suggests_every_pair_that_is_clearly_alike(
    train: list[Content], changes: list[tuple[int, int, str]]
) -> None:
    held = [
        Content(
            train[row % len(train)].prompt,
            train[row % len(train)].answer[:place] + letter + train[row % len(train)].answer[place:],
        )
        for row, place, letter in changes
    ]
    index = HeldOut.of(held)
    index.compare(train)
    suspects = set(index.suspects().tolist())
    for row, content in enumerate(held):
        best = max(similarity(content, other) for other in train)
        # the chance to miss a pair at 0.9 is below 1 in 10,000; the hash functions are fixed, so a pass stays one
        if best >= 0.9:
            assert row in suspects
            assert similarity(content, train[int(index.train[row])]) >= SIMILAR - 0.1
    assert len(HeldOut.of([]).suspects()) == 0
