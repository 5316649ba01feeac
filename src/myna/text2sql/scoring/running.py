"""`score`: questions, answers, verdicts and results, in this order; interrupted, it goes on where it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.data.folder import Split
from myna.errors import Interrupted, RecipeError
from myna.text2sql.scoring.files import results_folder, write_results
from myna.text2sql.scoring.generating import Answering, answer_questions
from myna.text2sql.scoring.journal import Journal
from myna.text2sql.scoring.predictions import Predictions, read_predictions
from myna.text2sql.scoring.questions import Questions, read_questions
from myna.text2sql.scoring.result import Answer, ScoreResult
from myna.text2sql.scoring.work import Task, judge_all


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scoring is: `done` of `total` questions are answered, or judged."""

    stage: Literal["answered", "judged"]
    done: int
    total: int


Listener: TypeAlias = Callable[[Progress], None]

_HELD: Mapping[str, tuple[str, ...]] = {
    "off": (),
    "schema": ("answers were held to SQL over the tables that their questions are about",),
    "content": (
        "answers were held to the tables that their questions are about and to values found there: the database was "
        "read at inference, which published tables tell apart",
    ),
}


def score(
    data: Path | str,
    *,
    model: str | None = None,
    adapter_path: Path | str | None = None,
    predictions: Path | str | None = None,
    split: Split = "test",
    size: int | None = None,
    databases: Path | str | None = None,
    workers: int | None = None,
    time_limit: float = 10.0,
    max_tokens: int = 256,
    batch_size: int = 16,
    constrain: Literal["off", "schema", "content"] = "off",
    engine: Literal["auto", "torch", "mlx"] = "auto",
    dtype: str = "auto",
    device: str = "auto",
    output: Path | str | None = None,
    listener: Listener | None = None,
) -> ScoreResult:
    """Score SQL by running it: a model's, generated here, or that of a file of `predictions`.

    data: a folder whose lines have SQL facts, as the builders write them. split: which of its files.
    adapter_path: of the model: a run folder, a checkpoint, or an adapter's own folder.
    predictions: one answer a line, or JSON lines; for all questions of the split, or for the `size` chosen ones.
    size: score this many questions, always the same ones; None scores all.
    databases: a folder with NAME.sqlite or NAME/NAME.sqlite, before what `data.json` says.
    workers: processes that run SQL; None takes the cores of this machine. time_limit: seconds of each query.
    max_tokens, batch_size: of the answers, which are greedy. constrain: `schema` holds them to SQL over the tables that
        the question is about, `content` to values that these have and the question names as well; the score says so.
    output: a folder for `score.json`, `answers.jsonl`, `wrong.md`, the files of the benchmarks' own evaluators and the
        journal that an interrupted scoring goes on from. Without it nothing is kept.

    Raises `DataError`, `DatabaseError` (one can't be opened), `RunError` (`output` holds something else), `ModelError`,
    `AdapterError`, `PromptError`, `ResourceError`, `MissingDependency`, `RecipeError` (a setting out of range), and
    `Interrupted` on Ctrl-C.
    """
    numbers = {"size": size, "workers": workers, "max_tokens": max_tokens, "batch_size": batch_size}
    _check(model, predictions, time_limit=time_limit, **numbers)
    asked = read_questions(
        Path(data).expanduser(), split, size=size, databases=None if databases is None else Path(databases).expanduser()
    )
    given = answering = None
    if predictions is not None:
        if constrain != "off":
            raise RecipeError(f"--constrain {constrain}: ready predictions can't be held to anything; leave it out")
        given = read_predictions(Path(predictions).expanduser(), asked.chosen, asked.total, asked.file)
        answers_key: dict[str, Any] = {"predictions": _hash(given)}
    else:
        adapter = None if adapter_path is None else Path(adapter_path)
        answering = Answering(str(model), adapter, max_tokens, batch_size, engine, dtype, device, constrain)
        answers_key = answering.key()
    key = {"data": asked.content_hash, "time_limit": time_limit, **answers_key}
    folder = None if output is None else Path(output).expanduser()
    with results_folder(folder), Journal(folder, key) as journal, _interruptible(folder, journal, asked):
        if given is not None:
            journal.answers.update(enumerate(given.answers))
        elif answering is not None:
            answer_questions(asked, answering, journal, _teller("answered", asked, listener))
        _judge(asked, journal, workers or _cores(), time_limit, _teller("judged", asked, listener))
        answers = [
            Answer(question, journal.answers[index], journal.verdicts[index])
            for index, question in enumerate(asked.questions)
        ]
        name = str(predictions or adapter_path or model)
        notes = given.notes if given is not None else _HELD[constrain]
        result = ScoreResult.of(name, str(data), answers, notes, folder)
        if folder is not None:
            write_results(folder, result)
            journal.finish()
    return result


def _judge(asked: Questions, journal: Journal, workers: int, time_limit: float, told: Callable[[int], None]) -> None:
    tasks = [
        Task(index, question.facts, journal.answers[index])
        for index, question in enumerate(asked.questions)
        if index not in journal.verdicts
    ]
    for index, verdict in judge_all(tasks, asked.places, workers=workers, seconds=time_limit):
        journal.verdict(index, verdict)
        told(len(journal.verdicts))


@contextmanager
def _interruptible(folder: Path | None, journal: Journal, asked: Questions) -> Iterator[None]:
    """Turn Ctrl-C into an error that says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is None:
            raise Interrupted("Stopped; nothing is kept, because no folder for results was named (--out).") from None
        total = len(asked.questions)
        raise Interrupted(
            f"Stopped with {len(journal.answers):,} of {total:,} questions answered and {len(journal.verdicts):,} "
            f"judged, all kept in {folder}; the same command goes on from there."
        ) from None


def _teller(stage: Literal["answered", "judged"], asked: Questions, listener: Listener | None) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if listener is not None:
            listener(Progress(stage, done, len(asked.questions)))

    return tell


def _check(model: str | None, predictions: Path | str | None, **numbers: float | None) -> None:
    if (model is None) == (predictions is None):
        raise RecipeError("give either a model, whose answers are generated, or a file of predictions")
    for name, value in numbers.items():
        least = 0.001 if name == "time_limit" else 1
        if value is not None and not least <= value < float("inf"):
            raise RecipeError(f"{name} is {value}; expected {least} or more")


def _hash(predictions: Predictions) -> str:
    digest = hashlib.sha256()
    for answer in predictions.answers:
        digest.update(f"{len(answer)}:".encode())
        digest.update(answer.encode())
    return digest.hexdigest()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
