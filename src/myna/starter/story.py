"""The steps of the demo, each with the commands that a person would type for the same.

Arguments of a command and of the function that is called for it stand side by side here; that they do the same is
tested by typing the commands. Knows nothing of how a step is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.databases import Database, Result
from myna.exporting import fuse
from myna.generation import load
from myna.recipe import LearningRateSchedule, LoraParameters, Recipe, load_recipe, to_yaml
from myna.reports import write_report
from myna.runs import write_file
from myna.starter.events import Asked, Command, Listener, Made, Pair, Step, Work, Working
from myna.starter.files import write_database
from myna.starter.place import Place
from myna.starter.questions import QUESTIONS, DemoQuestion
from myna.starter.result import Change
from myna.text2sql.asking import Asker, ModelAnswerer
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring import ScoreResult, score
from myna.training import train

LEARNT, ELSEWHERE = "students", "birds"
"""The database that is learnt, and the one that shows what this costs elsewhere."""
LANGUAGES: tuple[Literal["en", "zh"], ...] = ("en", "zh")
HELD: Literal["content"] = "content"
"""What scored answers are held to: the schema and the values found in it, which is how asking is done."""
_PAIRS_SHOWN = 3
_SCORED_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything. pairs, elsewhere: questions made of either database. iterations: of training."""

    pairs: int
    elsewhere: int
    iterations: int
    batch_size: int
    rank: int
    learning_rate: float


FULL = Size(pairs=1500, elsewhere=130, iterations=170, batch_size=16, rank=16, learning_rate=3e-3)
QUICK = Size(pairs=240, elsewhere=40, iterations=20, batch_size=16, rank=16, learning_rate=3e-3)

_STEPS = (
    (
        "Data from a database",
        "Questions about it are made up, each with SQL that was run; for testing, in other words.",
    ),
    ("And from one with three tables", "It is not learnt: it will show what learning the other one costs elsewhere."),
    ("The model as it is", "Scored by running its SQL and comparing rows, the only score that counts."),
    ("Training", "A small adapter learns; the model itself stays as it is."),
    ("The model with its adapter", "The same questions again, which it has not learnt from."),
    ("Questions", "First as it was, then trained; answers are SQL that runs, shown with its rows."),
    ("One model of both", "Base and adapter fused: a plain model folder for any other program."),
    ("A report", "One file for a browser: curves, scores before and after, wrong answers, the machine."),
)


class Story:
    """One telling of the demo. at: where it is, in words."""

    def __init__(self, place: Place, model: str, size: Size, listener: Listener) -> None:
        self.place, self.model, self.size, self.listener = place, model, size, listener
        self.at = "the beginning"
        self._steps = enumerate(_STEPS, start=1)

    def tell(self) -> tuple[Change, Change, tuple[Asked, ...], Path]:
        """Go through all steps. Returns the changes on both databases, the questions asked, and the report."""
        for name in (LEARNT, ELSEWHERE):
            write_database(name, self.place.database(name))
        self._next()
        self._build(LEARNT, self.size.pairs, language="both", test_share=0.1)
        self._next()
        self._build(ELSEWHERE, self.size.elsewhere, language="en", test_share=0.8)
        self._next()
        before = [self._score(name, tuned=False) for name in (LEARNT, ELSEWHERE)]
        self._next()
        self._train()
        self._next()
        after = [self._score(name, tuned=True) for name in (LEARNT, ELSEWHERE)]
        self._next()
        asked = (*self._ask(tuned=False), *self._ask(tuned=True))
        self._next()
        self._fuse()
        self._next()
        report = self._report([*before, *after])
        learnt, elsewhere = (
            Change(first.rates.execution, second.rates.execution) for first, second in zip(before, after, strict=True)
        )
        return learnt, elsewhere, asked, report

    def _next(self) -> None:
        number, (title, words) = next(self._steps)
        self.at = f"step {number} of {len(_STEPS)}, {title[0].lower()}{title[1:]}"
        self.listener(Step(number, len(_STEPS), title, words))

    def _command(self, work: Work, *arguments: object) -> None:
        self.listener(Command(work, ("myna", *map(str, arguments))))

    def _build(self, name: str, pairs: int, *, language: Literal["en", "both"], test_share: float) -> None:
        database, data = self.place.database(name), self.place.data(name)
        options = ("--size", pairs, "--language", language, "--samples", 0, "--test-share", test_share)
        self._command("build", "data", "database", database, "--out", data, *options)
        built = build_database(database, data, size=pairs, language=language, samples=0, test_share=test_share)
        self.listener(Made(built))
        for example in islice(open_split(data, "train"), _PAIRS_SHOWN):
            facts = SqlFacts.of(example)
            assert facts is not None
            asked = str(example.messages[-2]["content"]).partition("\nHints:")[0]
            self.listener(Pair(asked, facts.gold))

    def _score(self, name: str, *, tuned: bool) -> ScoreResult:
        data, folder = self.place.data(name), self.place.score(f"{name}-{'after' if tuned else 'before'}")
        which = ("--adapter-path", self.place.run) if tuned else ("--model", self.model)
        options = ("--data", data, "--constrain", HELD, "--batch-size", _SCORED_TOGETHER, "--out", folder)
        self._command("score", "score", *which, *options)
        result = score(
            data,
            model=self.model,
            adapter_path=self.place.run if tuned else None,
            constrain=HELD,
            batch_size=_SCORED_TOGETHER,
            output=folder,
            listener=lambda progress: self.listener(Working(progress)),
        )
        self.listener(Made(result))
        return result

    def _train(self) -> None:
        write_file(self.place.recipe, to_yaml(self._recipe()))
        self._command("train", "train", self.place.recipe)
        loaded = load_recipe(self.place.recipe)
        result = train(loaded.recipe, listener=lambda event: self.listener(Working(event)))
        write_report(self.place.run)
        self.listener(Made(result))

    def _recipe(self) -> Recipe:
        size = self.size
        return Recipe(
            model=self.model,
            data=str(self.place.data(LEARNT)),
            adapter_path=str(self.place.run),
            num_layers=-1,
            lora_parameters=LoraParameters(rank=size.rank, scale=2.0),
            iters=size.iterations,
            batch_size=size.batch_size,
            optimizer="adamw",
            learning_rate=size.learning_rate,
            lr_schedule=LearningRateSchedule(name="cosine_decay", warmup=size.iterations // 10),
            steps_per_report=max(1, size.iterations // 30),
            steps_per_eval=size.iterations // 2,
            save_every=size.iterations,
            val_batches=-1,
        )

    def _ask(self, *, tuned: bool) -> list[Asked]:
        """Ask the questions: in English as it was, in both languages when it has learnt."""
        database = self.place.database(LEARNT)
        which = ("--adapter-path", self.place.run) if tuned else ("--model", self.model)
        answerer = ModelAnswerer(load(self.model, adapter_path=self.place.run if tuned else None))
        asked = []
        with Database.open(database) as opened, Asker(opened, answerer) as asker:
            for language in LANGUAGES if tuned else LANGUAGES[:1]:
                for question in QUESTIONS:
                    words = question.english if language == "en" else question.chinese
                    self._command("ask", "ask", database, words, *which)
                    answer = asker.ask(words)
                    right = answer.result is not None and _is_right(question, answer.result, opened)
                    asked.append(Asked(answer, language, tuned, right))
                    self.listener(asked[-1])
        return asked

    def _fuse(self) -> None:
        self._command("fuse", "fuse", "--adapter-path", self.place.run, "--output", self.place.fused)
        self.listener(Made(fuse(self.model, self.place.run, self.place.fused)))

    def _report(self, scores: Sequence[ScoreResult]) -> Path:
        folders = [score.output for score in scores if score.output is not None]
        self._command("report", "report", self.place.run, *(word for each in folders for word in ("--score", each)))
        report = write_report(self.place.run, scores=folders)
        self.listener(Made(report))
        return report


def _is_right(question: DemoQuestion, result: Result, database: Database) -> bool:
    """Whether the rows are those of the right SQL."""
    ordered = is_ordered(question.gold, database.dialect)
    return same_result(database.run(question.gold), result, ordered=ordered)
