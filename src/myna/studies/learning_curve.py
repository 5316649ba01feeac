"""`learning_curve`: how many examples are enough? Trains on more and more of them, and scores each by running its SQL.

What a size has learnt and scored stays in the study's folder: a study that was stopped, or gets more sizes, goes on
with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from myna.data.folder import DataFolder, open_folder
from myna.errors import Interrupted, RunError
from myna.models.files import content_hash, find
from myna.recipe import Recipe
from myna.reports.record import read_run
from myna.runs import held_folder, write_file
from myna.studies.curve import LearningCurve, Point
from myna.studies.page import write_page
from myna.studies.subsets import checked_sizes, usual_sizes, write_subset
from myna.text2sql.scoring import Progress, score
from myna.training import resume, train
from myna.training.events import Event as TrainingEvent
from myna.training.events import Finished
from myna.training.preparation import keys_of

_MARK = "study.json"


@dataclass(frozen=True, slots=True)
class Size:
    """Training on so many examples, and scoring it, begins: number `number` of `of`. 0 examples: only scored."""

    examples: int
    number: int
    of: int


StudyEvent: TypeAlias = Size | TrainingEvent | Progress | Point
Listener: TypeAlias = Callable[[StudyEvent], None]


def learning_curve(
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    sizes: Sequence[int] | None = None,
    score_size: int | None = None,
    databases: Path | str | None = None,
    constrain: Literal["off", "schema", "content"] = "off",
    listener: Listener | None = None,
) -> LearningCurve:
    """Train by `recipe` on more and more examples of its data, score each on its test split, and find what is enough.

    recipe: trains each size anew from the base model. With `iters` every size takes as many steps, with `epochs` as
    many passes over its examples; which one says whether time is equal or grows. Its seed also draws the examples.
    out: folder of the study; by default the recipe's adapter_path, or runs/ with a name made of model and data.
    sizes: how many examples; None: 50, 100, 200, 400 … and all. score_size, databases, constrain: see `score`.
    listener: is given what begins, every event of training and scoring, and every `Point`.

    Raises `RecipeError` for a size that the data has not, `RunError` when `out` holds something else or a study with
    other settings, and whatever `train` and `score` raise.
    """
    folder = _folder(recipe, out)
    data = _open(recipe)
    chosen = usual_sizes(len(data.train)) if sizes is None else checked_sizes(sizes, len(data.train))
    study = _Study(recipe, data, folder, score_size, databases, constrain, listener or (lambda event: None))
    with study.held():
        points = []
        for number, size in enumerate((0, *chosen), start=1):
            study.listener(Size(size, number, len(chosen) + 1))
            points.append(study.point(size))
            study.listener(points[-1])
        report = write_page(tuple(points), recipe, folder)
    return LearningCurve(tuple(points), folder, report)


@dataclass(frozen=True, slots=True)
class _Study:
    """What every size of one study shares."""

    recipe: Recipe
    data: DataFolder
    folder: Path
    score_size: int | None
    databases: Path | str | None
    constrain: Literal["off", "schema", "content"]
    listener: Listener

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, or go on with it, as the only process that does, and say how to go on when stopped."""
        with held_folder(self.folder, "study", mark=_MARK, instead="name another folder with --out"):
            self._remember()
            try:
                yield
            except (Interrupted, KeyboardInterrupt) as stopped:
                raise Interrupted(
                    f"Stopped; what was learnt and scored so far is in {self.folder}. The same command goes on there.",
                    exit_code=stopped.exit_code if isinstance(stopped, Interrupted) else 130,
                ) from None

    def point(self, size: int) -> Point:
        """Train on `size` examples, or take what was learnt from them before, and score."""
        trained = self._train(size) if size else None
        scored = score(
            self.data.path,
            model=self.recipe.model,
            adapter_path=self._run(size) if size else None,
            size=self.score_size,
            databases=self.databases,
            constrain=self.constrain,
            engine=self.recipe.engine,
            dtype=self.recipe.dtype,
            device=self.recipe.device,
            output=self.folder / "scores" / f"{size:06d}",
            listener=self.listener,
        )
        right = tuple(answer.verdict.right for answer in scored.answers if not answer.verdict.left_out)
        if trained is None:
            return Point(0, right)
        return Point(size, right, trained.iteration, trained.seconds, trained.peak_memory_bytes, self._run(size))

    def _run(self, size: int) -> Path:
        return self.folder / "runs" / f"{size:06d}"

    def _train(self, size: int) -> Finished:
        subset, run = self.folder / "data" / f"{size:06d}", self._run(size)
        if (run / "recipe.yaml").is_file():
            if (finished := _finished(run)) is not None:
                return finished
            _forget_peak_memory()
            resume(run, listener=self.listener)
        else:
            write_subset(self.data, size, subset, seed=self.recipe.seed)
            paths = {"data": str(subset), "adapter_path": str(run), "hf_dataset": None}
            _forget_peak_memory()
            train(self.recipe.model_copy(update=paths), listener=self.listener)
        finished = _finished(run)
        assert finished is not None
        return finished

    def _remember(self) -> None:
        """Write down what determines the study, or compare it with what an earlier call has written down."""
        settings = self.recipe.model_dump(mode="json", exclude={"adapter_path", "data", "hf_dataset"})
        scoring = {"score_size": self.score_size, "constrain": self.constrain}
        inputs = {"data": self.data.train.content_hash, "base model": content_hash(find(self.recipe.model))}
        now = {**settings, **scoring, **inputs}
        mark = self.folder / _MARK
        if not mark.is_file():
            write_file(mark, json.dumps(now, ensure_ascii=False, indent=2) + "\n")
            return
        before = _read(mark)
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if changed:
            raise RunError(
                f"{self.folder}: a study with other settings is there ({', '.join(changed)} differ); "
                "name another folder with --out"
            )


def _folder(recipe: Recipe, out: Path | str | None) -> Path:
    if out is not None:
        return Path(out).expanduser()
    if recipe.adapter_path is not None:
        return Path(recipe.adapter_path)
    return Path("runs") / f"{Path(recipe.model).name or 'model'}-{Path(recipe.data).resolve().name}-curve"


def _open(recipe: Recipe) -> DataFolder:
    return open_folder(Path(recipe.data), keys=keys_of(recipe), on_bad_example=recipe.on_bad_example, seed=recipe.seed)


def _finished(run: Path) -> Finished | None:
    """Return how a run ended, None for one that did not."""
    return read_run(run).finished


def _read(mark: Path) -> dict[str, Any]:
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{mark}: can't be read ({error}); name another folder with --out") from error
    return content if isinstance(content, dict) else {}


def _forget_peak_memory() -> None:
    """Let Linux count this process's peak memory anew, so that each size shows its own; elsewhere it only grows."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM
