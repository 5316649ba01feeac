"""`compare`: run folders are read, measured one after the other, judged, and put side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from myna.data.folder import open_split
from myna.errors import DataError, Interrupted, RecipeError
from myna.models.files import expanded
from myna.reports.comparing.comparable import comparability, each_with_its_runs
from myna.reports.comparing.comparison import Comparison, Subject
from myna.reports.comparing.judging import judge_answers
from myna.reports.comparing.measured import Asked, Measured, Order, TestLoss
from myna.reports.comparing.page import write_page
from myna.reports.comparing.processes import Listener, measure_in_process
from myna.reports.comparing.questions import Questions, from_data, from_file, given_database
from myna.reports.comparing.runs import ComparedRun, read_runs
from myna.training.preparation import examples_per_iteration, keys_of


def compare(
    runs: Sequence[Path | str],
    *,
    questions: Path | str | None = None,
    database: Path | str | None = None,
    data: Path | str | None = None,
    size: int = 8,
    max_tokens: int = 256,
    test_batches: int | None = None,
    measure: bool = True,
    time_limit: float = 10.0,
    engine: Literal["auto", "torch", "mlx"] | None = None,
    dtype: str | None = None,
    device: str | None = None,
    output: Path | str | None = None,
    listener: Listener | None = None,
) -> Comparison:
    """Put runs side by side: losses, speed, memory, sizes, and answers to the same questions.

    What training measured is read from the run folders. Test loss, generation speed, answers and the peak memory of
    testing are measured here, in a process for each run. A test loss is kept in the run folder and measured again only
    when something that it depends on has changed.

    questions: a file, see `questions.from_file`; None takes `size` examples of the test data, always the same ones, and
        0 of them asks nothing. database: a path or URL that answers are run on; by default the data folder's own.
    data: a folder whose test.jsonl all runs are tested on; by default each run's own. test_batches: how many batches of
        the run's batch_size; -1 takes the whole test set, None what the recipe says.
    max_tokens: of an answer. time_limit: seconds of each query. measure: False shows only what the run folders tell.
    engine, dtype, device: to measure with; None takes the recipe's.
    output: an HTML file for the page; None writes none.

    Raises `RecipeError` (fewer than two runs, a number out of range), `RunError` (no run, or a damaged one),
    `DataError` (the file of questions), `DatabaseError` (the database), `ResourceError`, and `Interrupted` on Ctrl-C.
    What only one run lacks raises nothing and is said in `Subject.missing`.
    """
    _check(size=size, max_tokens=max_tokens, test_batches=test_batches, time_limit=time_limit)
    if not measure and not questions is database is data is None:
        raise RecipeError("questions, a database or data are for measuring; measure, or leave them out")
    compared = read_runs(runs, fetch=measure)
    machine = {name: value for name, value in (("engine", engine), ("dtype", dtype), ("device", device)) if value}
    folder = None if data is None else expanded(data)
    asked = _questions(compared, questions, database=database, data=folder, size=size) if measure else Questions()
    try:
        found = [
            measure_in_process(
                run.name,
                _order(run, asked, folder, test_batches=test_batches, max_tokens=max_tokens, machine=machine),
                listener,
            )
            if measure
            else Measured()
            for run in compared
        ]
        answers = judge_answers(asked, [each.answers for each in found], workers=1, time_limit=time_limit)
    except KeyboardInterrupt:
        raise Interrupted(
            "Stopped. Test losses that were measured are kept in the run folders; the same command goes on from them."
        ) from None
    subjects = tuple(
        _subject(run, each, tuple(answer for answer in judged if answer is not None))
        for run, each, judged in zip(compared, found, answers, strict=True)
    )
    comparison = Comparison(
        subjects=subjects,
        losses=comparability(compared, [subject.test for subject in subjects]),
        questions=asked.listed,
        asked_of=asked.source,
        notes=(*asked.notes, *_notes(compared)),
    )
    return comparison if output is None else comparison.with_report(write_page(expanded(output), comparison))


def _check(**numbers: float | None) -> None:
    least = {"size": 0, "max_tokens": 1, "test_batches": -1, "time_limit": 0.001}
    for name, value in numbers.items():
        if value is not None and (not least[name] <= value < float("inf") or (name == "test_batches" and value == 0)):
            expected = "-1 (all) or more than 0" if name == "test_batches" else f"{least[name]} or more"
            raise RecipeError(f"{name} is {value}; expected {expected}")


def _questions(
    runs: Sequence[ComparedRun],
    file: Path | str | None,
    *,
    database: Path | str | None,
    data: Path | None,
    size: int,
) -> Questions:
    """Return what all runs are asked: the file's questions, or some of the first test data that is there."""
    address = None if database is None else given_database(database)
    if file is not None:
        return from_file(
            Path(file), keys=keys_of(runs[0].recipe), data=data or expanded(runs[0].recipe.data), database=address
        )
    if size == 0:
        return Questions()
    reasons = []
    for run in runs:
        try:
            return from_data(data or expanded(run.recipe.data), keys=keys_of(run.recipe), size=size, database=address)
        except DataError as error:
            reasons.append(str(error))
    return Questions(notes=(f"nothing was asked: {reasons[0]}",))


def _order(
    run: ComparedRun,
    asked: Questions,
    data: Path | None,
    *,
    test_batches: int | None,
    max_tokens: int,
    machine: dict[str, Any],
) -> Order:
    recipe = run.recipe
    batches = recipe.test_batches if test_batches is None else test_batches
    return Order(
        run=str(run.path.absolute()),
        model=recipe.model,
        data=str((data or expanded(recipe.data)).absolute()),
        keys=asdict(keys_of(recipe)),
        max_seq_length=recipe.max_seq_length,
        mask_prompt=recipe.mask_prompt,
        long_examples=recipe.long_examples,
        on_bad_example=recipe.on_bad_example,
        wanted=None if batches == -1 else batches * recipe.batch_size,
        questions=tuple(Asked(each.asked, each.prompt) for each in asked.listed),
        max_tokens=max_tokens,
        database=asked.asked_of,
        **{"engine": recipe.engine, "dtype": recipe.dtype, "device": recipe.device, **machine},
    )


def _subject(run: ComparedRun, measured: Measured, answers: tuple[Any, ...]) -> Subject:
    test = measured.test or _logged_test(run)
    missing = [*run.missing, *measured.missing]
    if test is None and not measured.missing:
        missing.append("no test loss: it was not measured")
    if measured.test is None and test is not None:
        missing.append("the test loss is the one in the run's log; nothing tells the peak memory of testing")
    return Subject(run, test, measured.generating, answers, tuple(missing))


def _logged_test(run: ComparedRun) -> TestLoss | None:
    """Return the test at the end of training, if there was one. Its data is taken for what stands there now."""
    if not run.record.tested:
        return None
    logged = run.record.tested[-1]
    try:
        data_hash = open_split(expanded(run.recipe.data), "test", keys=keys_of(run.recipe)).content_hash
    except DataError:
        data_hash = f"unknown, of {run.name}"
    return TestLoss(
        loss=logged.loss,
        perplexity=logged.perplexity,
        tokens=logged.tokens,
        examples=logged.examples,
        skipped_long=0,
        data_hash=data_hash,
        prompt_hash=str(run.record.environment.get("hashes", {}).get("prompt", run.name)),
        samples_hash=None,
        peak_memory_bytes=None,
    )


def _notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Say what makes figures of these runs hard to compare, though each is right."""
    notes = []
    examples = {run.name: str(examples_per_iteration(run.recipe)) for run in runs}
    if len(set(examples.values())) > 1:
        notes.append(f"an iteration does not learn equally many examples: {each_with_its_runs(examples)}")
    machines = {
        json.dumps([run.record.environment.get("system"), run.record.environment.get("device")], sort_keys=True)
        for run in runs
        if run.record.environment
    }
    if len(machines) > 1:
        devices = each_with_its_runs({run.name: run.device for run in runs if run.device})
        notes.append(f"not all were trained on the same machine, which speeds and memory tell of too ({devices})")
    return notes
