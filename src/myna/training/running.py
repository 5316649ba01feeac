"""A whole run: `train` starts one in a new folder, `resume` goes on with one that was stopped or killed.

In: a recipe, or a run folder. Out: events to a listener, the run folder's files, a `TrainResult`. Knows
nothing of how the loop works inside.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from myna.errors import AdapterError, Interrupted, RecipeError, RunError
from myna.models.adapters import noted_day
from myna.models.files import STARTER
from myna.recipe import Recipe, to_yaml
from myna.runs import EventLog, RunFolder, write_file
from myna.training import checkpoints
from myna.training.checkpoints import Checkpoint
from myna.training.environment import changed_inputs, changed_machine
from myna.training.events import Event, Listener, Notice, Saved, Started
from myna.training.finishing import TrainResult, finish, sample
from myna.training.interruption import interruptible
from myna.training.loop import Loop
from myna.training.preparation import Prepared, examples_per_iteration, prepare
from myna.training.progress import Progress
from myna.training.reading import read_environment, read_log, read_recipe


def train(recipe: Recipe, *, listener: Listener | None = None) -> TrainResult:
    """Train as `recipe` says, into a new run folder.

    `listener` is given every event as it happens. Raises every error of `myna.errors`; a run that fails
    before its first step leaves nothing behind, a later one can be resumed from its last checkpoint.
    """
    run = RunFolder.create(_place(recipe))
    progress = Progress()
    with run.lock():
        try:
            write_file(run.recipe_path, to_yaml(_resolved(recipe)))
            return _Session(run, listener).start(recipe, progress)
        except BaseException as error:
            if progress.step == 0:
                run.discard()
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(_stopped(run, progress)) from None
            raise


def resume(
    run: Path | str,
    *,
    iters: int | None = None,
    epochs: float | None = None,
    listener: Listener | None = None,
) -> TrainResult:
    """Go on with the run in folder `run` from its last checkpoint, or from the beginning when it has none.

    The result is that of an undisturbed run, bit for bit, on the same machine with the same number of
    threads. iters, epochs: train longer than the recipe says. Raises `RunError` when there is no run, it is
    finished, another process is training it, or data or base model have changed; and whatever `train` raises.
    """
    folder = RunFolder.open(Path(run))
    with folder.lock():
        recipe = _longer(read_recipe(folder), iters, epochs)
        read_log(folder)  # a damaged one would stop the report, when all is trained
        checkpoint, damages = checkpoints.newest(folder)
        progress = Progress() if checkpoint is None else checkpoint.progress
        if iters is None and epochs is None and folder.finished:
            raise RunError(_finished(folder, progress))
        session = _Session(folder, listener)
        try:
            if checkpoint is None:
                return session.start(recipe, progress)
            _check_settings(folder, recipe, checkpoint)
            return session.go_on(recipe, checkpoint, damages)
        except KeyboardInterrupt:
            raise Interrupted(_stopped(folder, progress)) from None


class _Session:
    """One process's work on a run, whose lock it holds."""

    def __init__(self, run: RunFolder, listener: Listener | None) -> None:
        self.run = run
        self.listener: Listener = listener or (lambda event: None)

    def start(self, recipe: Recipe, progress: Progress) -> TrainResult:
        """Train from the first step."""
        with self._cleared_cache(), EventLog(self.run.log_path) as log:
            log.truncate(0)

            def tell(event: Event) -> None:
                log.append(event.as_dict())
                self.listener(event)

            prepared = prepare(recipe, self.run.cache_path, tell)
            write_file(self.run.environment_path, json.dumps(dict(prepared.environment), indent=2))
            return self._train(prepared, progress, log)

    def go_on(self, recipe: Recipe, checkpoint: Checkpoint, damages: Sequence[str]) -> TrainResult:
        """Train from a checkpoint. Nothing is changed in the folder before it is certain that this can be
        done.

        damages: what is wrong with newer checkpoints.
        """
        progress = checkpoint.progress
        notices = [
            Notice(progress.step, f"{damage}; going on from the checkpoint of iteration {progress.step} instead.")
            for damage in damages
        ]
        for notice in notices:
            self.listener(notice)
        with self._cleared_cache(), EventLog(self.run.log_path) as log:
            prepared = prepare(recipe, self.run.cache_path, self.listener, day=self._day())
            over = progress.step >= prepared.iterations or progress.out_of_patience(recipe.early_stopping)
            if progress.step > prepared.iterations or (over and self.run.finished):
                raise RunError(_finished(self.run, progress))
            changes = self._check_unchanged(prepared)
            checkpoints.restore(checkpoint.path, prepared.model, files=prepared.files)
            checkpoints.keep(self.run, progress.kept, verify=True)
            write_file(self.run.recipe_path, to_yaml(recipe))
            log.truncate(self._logged(progress))
            log.append(Saved(progress.step, checkpoint.path.relative_to(self.run.path).as_posix()).as_dict())
            if changes:
                text = f"The last bits may differ from those of an undisturbed run: {'; '.join(changes)}."
                notices.append(Notice(progress.step, text))
                self.listener(notices[-1])
            for notice in notices:
                log.append(notice.as_dict())
            return self._train(prepared, progress, log)

    def _train(self, prepared: Prepared, progress: Progress, log: EventLog) -> TrainResult:
        with interruptible() as interruption:
            loop = Loop(prepared, progress, run=self.run, log=log, listener=self.listener, interruption=interruption)
            loop.tell(_started(self.run, prepared, progress))
            if progress.step == 0:
                sample(loop)
            loop.train()
            return finish(loop)

    def _logged(self, progress: Progress) -> int:
        """Return how many bytes of the log come before the checkpoint's own event, wherever a line was removed."""
        position = 0
        with self.run.log_path.open("rb") as lines:
            for line in lines:
                event = json.loads(line)
                if event.get("event") == Saved.name and event.get("iteration") == progress.step:
                    return position
                position += len(line)
        return progress.log_bytes

    @contextmanager
    def _cleared_cache(self) -> Iterator[None]:
        """Begin without what a killed process left in the cache, and leave nothing there."""
        shutil.rmtree(self.run.cache_path, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(self.run.cache_path, ignore_errors=True)

    def _day(self) -> date | None:
        """Return the date on which the run began, None where it is not noted: its prompts don't have it."""
        try:
            return noted_day(read_environment(self.run))
        except (RunError, AdapterError):  # what is damaged is reported further on
            return None

    def _check_unchanged(self, prepared: Prepared) -> list[str]:
        """Raise for what must not have changed; return what may have, in words."""
        path = self.run.environment_path
        try:
            before = read_environment(self.run)
            inputs = changed_inputs(before, prepared.environment)
            machine = changed_machine(before, prepared.environment)
        except KeyError as error:
            raise RunError(
                f'{path}: has no "{error.args[0]}", so nobody can tell whether data and base model are the same; put '
                "the file back, or start a new run with myna train."
            ) from error
        if inputs:
            raise RunError(
                f"{self.run.path}: can't go on, because {' and '.join(inputs)} changed since it began. "
                "Put the old back, or start a new run from its adapter: "
                f"--resume-adapter-file {shlex.quote(str(self.run.adapter_path))}"
            )
        return machine


def _place(recipe: Recipe) -> Path:
    if recipe.adapter_path is not None:
        return Path(recipe.adapter_path)
    model = Path(recipe.model).name or "model"
    return RunFolder.unused(Path("runs") / f"{model}-{Path(recipe.data).resolve().name}")


def _resolved(recipe: Recipe) -> Recipe:
    """Make paths absolute, so that the run can be resumed from any folder."""
    changes = {"data": str(Path(recipe.data).resolve())}
    if recipe.model != STARTER and Path(recipe.model).is_dir():
        changes["model"] = str(Path(recipe.model).resolve())
    if recipe.resume_adapter_file is not None:
        changes["resume_adapter_file"] = str(Path(recipe.resume_adapter_file).resolve())
    return recipe.model_copy(update=changes)


def _check_settings(run: RunFolder, recipe: Recipe, checkpoint: Checkpoint) -> None:
    """Raise `RunError` when the recipe in the folder is not the one that was trained by."""
    changed = checkpoints.changed_settings(recipe, checkpoint)
    if changed:
        step = checkpoint.progress.step
        settings, adapter, another = (
            shlex.quote(str(path)) for path in (run.recipe_path, checkpoint.path, RunFolder.unused(run.path))
        )
        raise RunError(
            f"{run.recipe_path}: was changed after iteration {step} was trained: {'; '.join(changed)}. Put that back, "
            f"or train with the new settings in a new run, from this adapter on: myna train {settings} "
            f"--resume-adapter-file {adapter} --adapter-path {another}"
        )


def _finished(run: RunFolder, progress: Progress) -> str:
    step, quoted = progress.step, shlex.quote(str(run.path))
    return (
        f"{run.path}: this run is finished after {step} iterations; its adapter is in {run.adapter_path}. Train it "
        f"longer with myna train --resume {quoted} --iters {2 * step}, or, where it stopped early, begin a new run "
        f"from it with --resume-adapter-file {quoted}."
    )


def _stopped(run: RunFolder, progress: Progress) -> str:
    if progress.step == 0:
        return "Stopped at once; nothing was trained yet."
    return (
        f"Stopped at once. {checkpoints.last_saved(run)} Go on with: myna train --resume {shlex.quote(str(run.path))}"
    )


def _longer(recipe: Recipe, iters: int | None, epochs: float | None) -> Recipe:
    if iters is not None and epochs is not None:
        raise RecipeError("iters and epochs say the same thing twice; give one of them.")
    if iters is not None:
        return recipe.model_copy(update={"iters": iters, "epochs": None})
    if epochs is not None:
        return recipe.model_copy(update={"iters": None, "epochs": epochs})
    return recipe


def _started(run: RunFolder, prepared: Prepared, progress: Progress) -> Started:
    device = prepared.environment["device"]
    examples = examples_per_iteration(prepared.recipe)
    return Started(
        run=str(run.path),
        iteration=progress.step,
        iterations=prepared.iterations,
        examples_per_iteration=examples,
        epochs=prepared.iterations * examples / len(prepared.train),
        trained_parameters=prepared.trained_parameters,
        device=device["name"],
        dtype=device["dtype"] if prepared.recipe.dtype == "auto" else prepared.recipe.dtype,
    )
