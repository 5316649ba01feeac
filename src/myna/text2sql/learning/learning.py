"""`learn`: corrections are checked, mixed with replay and trained; both adapters are scored; the better one is kept.

Interrupted, the same command goes on where it was: nothing that is finished is done again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

from myna.databases.allowed import allow
from myna.errors import DataError, Interrupted, without_passwords
from myna.models.adapters import NOTE as ADAPTER_NOTE
from myna.models.adapters import read_note
from myna.runs import RunFolder, write_file, write_folder
from myna.text2sql.facts import SqlFacts
from myna.text2sql.learning.checking import Checked, check_corrections
from myna.text2sql.learning.databases import KnownDatabases
from myna.text2sql.learning.listening import Listener, Stage
from myna.text2sql.learning.mixing import FEWEST_TO_HOLD_OUT, divide, mix, questions, test_questions
from myna.text2sql.learning.outcome import LearnResult, Verdict, compare, decide, rates
from myna.text2sql.learning.past import Past, open_past
from myna.text2sql.learning.place import find_place
from myna.text2sql.learning.planning import Prepared, contents, learning_rate_of, official_files, plan_of
from myna.text2sql.learning.reading import last_words, read_corrections
from myna.text2sql.learning.settings import HELD_OUT, REPLAY, Settings
from myna.text2sql.scoring import ScoreResult, score
from myna.training import resume
from myna.training.checkpoints import last_saved
from myna.training.events import Finished
from myna.training.preparation import examples_per_iteration
from myna.training.reading import read_log


def learn(
    run: Path | str,
    corrections: Path | str,
    *,
    out: Path | str | None = None,
    data: Path | str | None = None,
    databases: Path | str | None = None,
    other_databases: bool = False,
    replay: float = REPLAY,
    held_out: float = HELD_OUT,
    iters: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    size: int | None = None,
    constrain: Literal["off", "schema", "content"] = "off",
    workers: int | None = None,
    time_limit: float = 10.0,
    max_tokens: int = 256,
    listener: Listener | None = None,
) -> LearnResult:
    """Train a finished run's adapter further on corrections, in a new run; keep the better of the old and the new one.

    run: the finished run, which is only read. corrections: a file that `myna ask` keeps; the SQL of each is run again,
        and those that fail are left out and reported. Corrections that `run` has itself learnt are carried along.
    out: the new run's folder; by default beside `run`, with `-learnt` behind its name.
    data: where the run's data is now, when it was moved. databases: a folder with NAME.sqlite or NAME/NAME.sqlite, when
        they are not where its data.json says. other_databases: learn corrections of databases that the run's data does
        not know, too.
    replay: lines of the original training data for each time that a correction is learnt; 0 for none.
    held_out: about so many of the corrections (a share) are not learnt but scored on, where there are 5 or more; those
        with the same SQL stay together.
    iters: optimizer steps; None takes what lets each correction be learnt 8 times or more. learning_rate: the highest;
        None takes half of the run's. It rises over the first tenth of the steps and falls to 0. seed: of what is held
        out and replayed; None takes the run's. All other settings of training are the run's own.
    size: score on this many of the test's questions, always the same ones; None scores on all.
    constrain, workers, time_limit, max_tokens: as `score` takes them; time_limit is that of checking too.

    Raises `RunError` (no finished run, or `out` holds something else), `DataError` (no correction can be learnt; the
    data is gone), `DatabaseError`, `ModelError`, `AdapterError`, `RecipeError`, `TrainingError`, `ResourceError`,
    `MissingDependency`, and `Interrupted` on Ctrl-C: the same call goes on where it was.
    """
    settings = Settings(
        other_databases=other_databases,
        replay=replay,
        held_out=held_out,
        iters=iters,
        learning_rate=learning_rate,
        seed=seed,
        size=size,
        constrain=constrain,
        time_limit=time_limit,
        max_tokens=max_tokens,
    )
    tell: Listener = listener or (lambda event: None)
    try:
        prepared = _prepare(Path(run), Path(corrections), settings, _path(out), _path(data), _path(databases), tell)
    except KeyboardInterrupt:
        raise Interrupted("Stopped before anything was learnt; nothing was written.") from None
    with prepared.place.held():
        try:
            return _learn(prepared, settings, workers, tell)
        except KeyboardInterrupt:
            raise Interrupted(f"Stopped; the same command goes on in {prepared.place.run.path}.") from None


def _prepare(
    run: Path,
    file: Path,
    settings: Settings,
    out: Path | None,
    data: Path | None,
    databases: Path | None,
    tell: Listener,
) -> Prepared:
    """Read, check and divide all, and write the new folder unless it stands there."""
    tell(Stage("checking", without_passwords(f"Checking the corrections in {file}")))
    past = open_past(run, data, replay=settings.replay)
    given = read_corrections(file.expanduser())
    carried = read_corrections(past.carried) if past.carried is not None else ()
    known = KnownDatabases(past.folders, databases)
    checked = check_corrections(
        last_words([*carried, *given]),
        known,
        data=past.own,
        other_databases=settings.other_databases or past.data is None,
        time_limit=settings.time_limit,
    )
    if not checked.lessons:
        raise DataError(_nothing_left(file, checked))
    seed = past.recipe.seed if settings.seed is None else settings.seed
    divided = divide(checked.lessons, settings.held_out, seed)
    test, notes = test_questions(divided, None if past.data is None else past.data.test, settings.size)
    if not test and not divided.held_out:
        raise DataError(_nothing_to_score_on(past, len(checked.lessons), settings))
    for example in test:
        facts = SqlFacts.of(example)
        if facts is not None and facts.database:
            known.check(facts.database, str(example.source))
    asked = questions(divided, test)
    amounts = mix(
        len(divided.trained), examples_per_iteration(past.recipe), settings.replay if past.data is not None else 0.0
    )
    plan = plan_of(past, checked, settings)
    place = find_place(past.run.path, out, plan)
    prepared = Prepared(past, place, checked, divided, amounts, asked, (*past.notes, *checked.notes, *notes))
    known.allow()
    if (official := official_files(past)) is not None:
        allow(str(official))
    if not place.is_begun:
        place.begin(plan, contents(prepared, settings, seed=seed, test=test, known=known, file=file))
    return prepared


def _learn(prepared: Prepared, settings: Settings, workers: int | None, tell: Listener) -> LearnResult:
    """Score, train, score and keep; what is done already is not done again."""
    past, place = prepared.past, prepared.place
    tell(Stage("before", f"Scoring the adapter of {past.run.path}"))
    before = _score(prepared, past.adapter, place.before, settings, workers, tell)
    if not place.run.finished:
        tell(Stage("training", f"Learning {len(prepared.divided.trained)} corrections in {place.run.path}"))
        try:
            resume(place.run.path, listener=tell)
        except Interrupted as stopped:
            raise Interrupted(
                f"Stopped while learning. {last_saved(place.run)} The old run is as it was; the same command goes on "
                "from here.",
                exit_code=stopped.exit_code,
            ) from None
    finished = [event for event in read_log(place.run) if isinstance(event, Finished)][-1]
    trained = place.run.checkpoint(finished.best_iteration)
    tell(Stage("after", "Scoring what was learnt"))
    after = _score(prepared, trained, place.after, settings, workers, tell)
    changes = compare(prepared.asked, before, after)
    verdict = decide(changes)
    if verdict.kept == "old":
        _keep_old(past, place.run, verdict)
    result = LearnResult(
        run=place.run.path,
        adapter=place.run.adapter_path,
        changes_file=place.result,
        source=past.run.path,
        verdict=verdict,
        scores=rates(changes),
        changes=changes,
        left_out=prepared.checked.left_out,
        repeats=prepared.amounts.repeats,
        replayed=prepared.amounts.replayed,
        iterations=finished.iteration,
        learning_rate=learning_rate_of(past.recipe, settings),
        notes=(*prepared.notes, *_held_out_notes(prepared), *dict.fromkeys((*before.notes, *after.notes))),
    )
    write_file(place.result, json.dumps(result.as_dict(), ensure_ascii=False, indent=2) + "\n")
    return result


def _score(
    prepared: Prepared, adapter: Path, output: Path, settings: Settings, workers: int | None, tell: Listener
) -> ScoreResult:
    recipe = prepared.past.recipe
    return score(
        prepared.place.questions,
        model=recipe.model,
        adapter_path=adapter,
        workers=workers,
        time_limit=settings.time_limit,
        max_tokens=settings.max_tokens,
        constrain=settings.constrain,
        engine=recipe.engine,
        dtype=recipe.dtype,
        device=recipe.device,
        output=output,
        listener=tell,
    )


def _keep_old(past: Past, run: RunFolder, verdict: Verdict) -> None:
    """Make the old adapter that of the new run. Training the run longer, which needs its own one, puts that back."""
    with run.lock(), write_folder(run.adapter_path) as folder:
        for file in sorted(file for file in past.adapter.iterdir() if file.is_file()):
            shutil.copyfile(file, folder / file.name)
        note = {name: value for name, value in read_note(past.adapter).items() if name != "iteration"}
        note["kept_from"] = f"{past.run.path}: {verdict.why}"
        (folder / ADAPTER_NOTE).write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _held_out_notes(prepared: Prepared) -> list[str]:
    if prepared.divided.held_out:
        return []
    return ["no correction was held out (that takes 5 with different SQL), so how well they generalise is not measured"]


def _nothing_left(file: Path, checked: Checked) -> str:
    first = checked.left_out[0]
    count = len(checked.left_out)
    return (
        f"{file}: none of its {count:,} corrections can be learnt; the first: {first.where}: {first.reason}. Correct "
        "them again with myna ask, or, where they ask another database on purpose, add --other-databases"
    )


def _nothing_to_score_on(past: Past, corrections: int, settings: Settings) -> str:
    why = "has no test.jsonl with SQL facts" if past.data is not None else "is gone"
    return (
        f"nothing can tell which adapter is better: the data of {past.run.path} {why}, and none of {corrections:,} "
        f"corrections is held out (--held-out {settings.held_out:g}; {FEWEST_TO_HOLD_OUT} corrections with different "
        "SQL are needed); add a test.jsonl to the data, name its place with --data, or collect more corrections"
    )


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path).expanduser()
