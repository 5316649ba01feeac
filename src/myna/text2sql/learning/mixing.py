"""The new run's data: corrections again and again among replay of the original data; what both adapters are asked.

Which corrections are held out, and what is replayed, hang on contents and a seed alone. Knows no model.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from myna.data.example import Example
from myna.data.folder import DataFolder, Examples
from myna.data.records import Keys
from myna.errors import DataError
from myna.evaluation import fixed_selection
from myna.text2sql.facts import SqlFacts
from myna.text2sql.learning.checking import Lesson
from myna.text2sql.learning.reading import Correction, spelt_alike
from myna.text2sql.scoring.questions import question_of

Group: TypeAlias = Literal["test", "held out", "trained"]
GROUPS: tuple[Group, ...] = ("test", "held out", "trained")
"""Where a question that both adapters are asked comes from: the original test, or corrections."""

FEWEST_TO_HOLD_OUT = 5
"""Corrections. With fewer, each is needed to learn from."""
_PASSES = 8
"""How often each correction is learnt at least."""
_FEWEST_STEPS = 40
"""Optimizer steps: a correction alone is repeated until there are so many."""

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Divided:
    """Corrections to learn, and corrections to score on."""

    trained: tuple[Lesson, ...]
    held_out: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that both adapters are asked. where: its file and line."""

    group: Group
    where: str
    record: Record


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of what is trained on: each correction so many times, and so many lines of the original data."""

    repeats: int
    replayed: int


def divide(lessons: Sequence[Lesson], share: float, seed: int) -> Divided:
    """Set about `share` of the corrections aside where there are enough, all with the same SQL on one side.

    Which ones follows from what they mean and `seed`: corrections that come later move none that were there before.
    """
    by_meaning: defaultdict[str, list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        by_meaning[lesson.meaning].append(lesson)
    chosen: set[str] = set()
    if share > 0 and len(lessons) >= FEWEST_TO_HOLD_OUT and len(by_meaning) > 1:
        ranked = sorted(by_meaning, key=lambda meaning: _key(meaning, seed))
        # Neither side may stay empty: the first always goes, the last always stays.
        chosen = {meaning for meaning in ranked[:-1] if meaning == ranked[0] or _key(meaning, seed) < share * 2**64}
    return Divided(
        tuple(lesson for lesson in lessons if lesson.meaning not in chosen),
        tuple(lesson for lesson in lessons if lesson.meaning in chosen),
    )


def mix(corrections: int, examples_per_step: int, replay: float) -> Mix:
    """Return how often each of the corrections is learnt, with `replay` lines of the original data for each time."""
    samples = _FEWEST_STEPS * examples_per_step
    repeats = max(_PASSES, math.ceil(samples / (corrections * (1 + replay))))
    return Mix(repeats, round(corrections * repeats * replay))


def training_records(
    divided: Divided, original: DataFolder | None, amounts: Mix, *, keys: Keys, seed: int
) -> Iterator[Record]:
    """Yield the lines to train on.

    An original line that asks what a correction asks and answers otherwise is never replayed: it would teach the
    mistake again. Raises `DataError` when nothing else is left to replay.
    """
    for lesson in divided.trained:
        record = lesson_record(lesson, keys)
        for _ in range(amounts.repeats):
            yield record
    if original is None or not amounts.replayed:
        return
    right = {_question_of(lesson): lesson.correction for lesson in divided.trained + divided.held_out}
    usable = [index for index, example in enumerate(original.train) if not _contradicts(example, right)]
    if not usable:
        raise DataError(
            f"{original.train.path}: corrections answer every line of it otherwise, so none can be replayed"
        )
    passes, rest = divmod(amounts.replayed, len(usable))
    for index in [*(usable * passes), *(usable[place] for place in fixed_selection(len(usable), rest, seed))]:
        yield example_record(original.train[index], keys)


def test_questions(divided: Divided, test: Examples | None, size: int | None) -> tuple[list[Example], tuple[str, ...]]:
    """Return the original test questions that both adapters are asked, with notes of what is left out.

    Left out are those without SQL facts, and those that a correction which is trained asks too: the new adapter would
    have seen them. size: so many of the test's lines, always the same ones, as in `score`.
    """
    if test is None:
        return [], ("the original data has no test.jsonl: only corrections are scored",)
    learnt = {_question_of(lesson) for lesson in divided.trained}
    chosen = [test[index] for index in fixed_selection(len(test), size, seed=0)]
    with_facts = [example for example in chosen if SqlFacts.of(example) is not None]
    kept = [example for example in with_facts if _asked(example) not in learnt]
    notes = []
    if without := len(chosen) - len(with_facts):
        notes.append(f"{test.path}: {without:,} of {len(chosen):,} lines have no SQL facts and are not scored")
    if seen := len(with_facts) - len(kept):
        notes.append(
            f"{test.path}: {seen:,} of its questions are corrections that are trained, and not scored as a test"
        )
    return kept, tuple(notes)


def questions(divided: Divided, test: Sequence[Example]) -> list[Asked]:
    """Return all that both adapters are asked, as lines that scoring reads."""
    keys = Keys()
    asked = [Asked("test", str(example.source), example_record(example, keys)) for example in test]
    groups: tuple[tuple[Group, Sequence[Lesson]], ...] = (("held out", divided.held_out), ("trained", divided.trained))
    for group, lessons in groups:
        asked += [Asked(group, str(each.correction.source), lesson_record(each, keys)) for each in lessons]
    return asked


def lesson_record(lesson: Lesson, keys: Keys) -> Record:
    """Return the data line of a correction."""
    return {keys.messages: list(lesson.correction.messages), "sql": lesson.facts.as_dict()}


def example_record(example: Example, keys: Keys) -> Record:
    """Return the data line that an example was read from, under the names of `keys`."""
    record: dict[str, Any]
    match example.kind:
        case "text":
            record = {keys.text: example.text}
        case "completion":
            prompt, completion = example.messages
            record = {keys.prompt: prompt["content"], keys.completion: completion["content"]}
        case _:
            record = {keys.messages: list(example.messages)}
    if example.tools is not None:
        record["tools"] = list(example.tools)
    return record if example.sql is None else {**record, "sql": dict(example.sql)}


def _key(meaning: str, seed: int) -> int:
    """Return a 64-bit number that hangs on the meaning of a correction and the seed alone."""
    return int.from_bytes(
        hashlib.blake2b(f"{seed}\0{meaning}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    )


def _question_of(lesson: Lesson) -> tuple[str, str]:
    return lesson.facts.database, spelt_alike(lesson.correction.question.partition("\n")[0])


def _asked(example: Example) -> tuple[str, str] | None:
    """Return the database and the question of an example with SQL facts."""
    if SqlFacts.of(example) is None:
        return None
    question = question_of(example)
    return question.facts.database, spelt_alike(question.asked.partition("\n")[0])


def _contradicts(example: Example, corrections: Mapping[tuple[str, str], Correction]) -> bool:
    """Whether an example asks what a correction asks and its gold SQL is another."""
    asked = _asked(example)
    facts, correction = SqlFacts.of(example), None if asked is None else corrections.get(asked)
    return facts is not None and correction is not None and facts.gold not in (correction.answer, correction.facts.gold)
