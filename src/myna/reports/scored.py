"""Scores that a run's report shows beside the run: what `myna score` left in its folders, as rows and wrong answers.

In: folders of scores, in the order of a story: before training, after it. Out: plain strings. Knows no model and no
HTML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.data.lines import read_objects
from myna.errors import DataError, RunError
from myna.runs import read_file, wrong_field

MOST_WRONG = 25
"""Wrong answers shown of one score."""
_LONGEST = 600
"""Characters of a question or a query."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score. change: in percentage points, from the first score of the same data; empty for that one."""

    data: str
    scored: str
    accuracy: str
    interval: str
    change: str
    better: bool
    exact: str
    valid: str
    questions: str


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """A question that was answered wrongly."""

    question: str
    expected: str
    answer: str
    cause: str


@dataclass(frozen=True, slots=True)
class WrongAnswers:
    """The wrong answers of the last score of some data. left_out: how many more there are, in which file."""

    title: str
    answers: tuple[WrongAnswer, ...]
    left_out: int
    file: str


@dataclass(frozen=True, slots=True)
class Scores:
    """What a page shows of scores: those of one data folder together."""

    rows: tuple[ScoreRow, ...]
    wrong: tuple[WrongAnswers, ...]


@dataclass(frozen=True, slots=True)
class _Score:
    """What is read of `score.json`."""

    data: str
    name: str
    execution_accuracy: float | None
    exact_match: float | None
    valid: float | None
    interval: tuple[float, float] | None
    examples: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is read of a line of `answers.jsonl`."""

    question: str
    gold_sql: str
    sql: str | None
    answer: str
    execution: bool | None
    exact: bool
    cause: str | None
    message: str
    left_out: str


def read_scores(folders: Sequence[Path]) -> Scores:
    """Read what `myna score` wrote. Raises `RunError` for a folder without a score or with a damaged one."""
    read = [(folder, _object(folder / "score.json")) for folder in folders]
    by_data: dict[str, list[tuple[Path, Mapping[str, Any]]]] = {}
    for folder, score in read:
        by_data.setdefault(score["data"], []).append((folder, score))
    rows, wrong = [], []
    for scores in by_data.values():
        first = scores[0][1]
        rows += [_row(score, None if score is first else first) for _, score in scores]
        wrong.append(_wrong(*scores[-1]))
    return Scores(tuple(rows), tuple(each for each in wrong if each.answers))


def _row(score: Mapping[str, Any], first: Mapping[str, Any] | None) -> ScoreRow:
    accuracy = score["execution_accuracy"]
    change = None
    if first is not None and accuracy is not None and first["execution_accuracy"] is not None:
        change = 100 * (accuracy - first["execution_accuracy"])
    interval = score["interval"]
    return ScoreRow(
        data=_short(score["data"]),
        scored=_short(score["name"]),
        accuracy=_percent(accuracy),
        interval="–" if interval is None else f"{_percent(interval[0])}–{_percent(interval[1])}",
        change="" if change is None else f"{change:+.1f}".replace("+0.0", "±0"),
        better=change is not None and change > 0,
        exact=_percent(score["exact_match"]),
        valid=_percent(score["valid"]),
        questions=f"{score['examples']:,}",
    )


def _wrong(folder: Path, score: Mapping[str, Any]) -> WrongAnswers:
    path = folder / "answers.jsonl"
    try:
        read = list(read_objects(path))
    except DataError as error:
        raise RunError(f"{error}; score again with myna score") from error
    for source, answer in read:
        if (problem := wrong_field(_Answer, answer)) is not None:
            raise RunError(f"{source}: {problem}; score again with myna score")
    answers = [answer for _, answer in read]
    wrong = [each for each in answers if not each["left_out"] and not _is_right(each)]
    shown = tuple(
        WrongAnswer(
            question=_cut(each["question"]),
            expected=_cut(each["gold_sql"]),
            answer=_cut(each["sql"] or each["answer"]),
            cause=": ".join(part for part in (each["cause"], _cut(each["message"])) if part),
        )
        for each in wrong[:MOST_WRONG]
    )
    title = f"{_short(score['name'])} on {_short(score['data'])}: {len(wrong):,} of {score['examples']:,} wrong"
    return WrongAnswers(title, shown, len(wrong) - len(shown), str(folder / "wrong.md"))


def _is_right(answer: Mapping[str, Any]) -> bool:
    return bool(answer["exact"] if answer["execution"] is None else answer["execution"])


def _object(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(read_file(path))
    except OSError as error:
        raise RunError(f"{path}: can't be read ({error.strerror}); give a folder that myna score wrote") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error}); score again with myna score") from error
    if not isinstance(content, dict) or "execution_accuracy" not in content:
        raise RunError(f"{path}: no score in it; give a folder that myna score wrote")
    if (problem := wrong_field(_Score, content)) is not None:
        raise RunError(f"{path}: {problem}; score again with myna score")
    return content


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _short(path: str) -> str:
    return Path(path).name or path


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
