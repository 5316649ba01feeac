"""A comparison: runs, what was measured of them, the questions with their answers, and what can't be compared.

Plain values; `as_dict` is what `--json` shows. Knows no layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from myna.reports.comparing.comparable import Comparability, LossKind
from myna.reports.comparing.judging import JudgedAnswer
from myna.reports.comparing.measured import Generating, TestLoss
from myna.reports.comparing.questions import Listed
from myna.reports.comparing.runs import ComparedRun


@dataclass(frozen=True, slots=True)
class Subject:
    """A run with what was measured of it.

    test: measured, or as its log has it. answers: one for each question, or none.
    missing: what is not there and why, in sentences.
    """

    run: ComparedRun
    test: TestLoss | None
    generating: Generating | None
    answers: tuple[JudgedAnswer, ...]
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's name in this comparison."""
        return self.run.name

    @property
    def judged(self) -> tuple[int, int]:
        """How many answers are right, of how many that could be judged right or wrong."""
        verdicts = [answer.right for answer in self.answers if answer.by in ("execution", "sql")]
        return sum(map(bool, verdicts)), len(verdicts)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        run, record, right = self.run, self.run.record, self.judged
        return {
            "name": run.name,
            "run": str(run.path),
            "finished": record.finished is not None,
            "iteration": record.iteration,
            "model": run.recipe.model,
            "weights": None if run.base is None else run.base.weights,
            "method": run.method,
            "layers": run.layers,
            "engine": run.device or None,
            "trained_parameters": run.trained_parameters,
            "trained_share": run.trained_share,
            "tokens_per_second": run.tokens_per_second,
            "trained_tokens_per_second": run.trained_tokens_per_second,
            "seconds": run.seconds,
            "peak_memory_bytes": {
                "training": run.training_peak_bytes,
                "testing": None if self.test is None else self.test.peak_memory_bytes,
            },
            "adapter_bytes": run.adapter_bytes,
            "fused_bytes": None if run.base is None else run.base.fused_bytes,
            "fused_unpacked_bytes": None if run.base is None else run.base.unpacked_bytes,
            "losses": {
                "train": [[one.iteration, one.train_loss] for one in record.reports],
                "valid": [[one.iteration, one.valid_loss] for one in record.evaluations],
            },
            "best": None
            if record.best is None
            else {"iteration": record.best.iteration, "valid_loss": record.best.valid_loss},
            "test": None if self.test is None else _test_dict(self.test),
            "generating": None if self.generating is None else _generating_dict(self.generating),
            "questions": {"right": right[0], "of": right[1]} if self.answers else None,
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side, in the order in which they were named.

    losses: for train, validation and test loss, whether the runs' can be compared. asked_of: where the questions are
    from. notes: what else to know before comparing. report: the HTML page, once it is written.
    """

    subjects: tuple[Subject, ...]
    losses: tuple[Comparability, ...]
    questions: tuple[Listed, ...]
    asked_of: str
    notes: tuple[str, ...]
    report: Path | None = None

    def comparable(self, kind: LossKind) -> bool:
        """Whether the losses of a kind can be compared."""
        return next(each.comparable for each in self.losses if each.kind == kind)

    def with_report(self, report: Path) -> Comparison:
        """Return the same with the place of its page."""
        return replace(self, report=report)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "runs": [subject.as_dict() for subject in self.subjects],
            "comparable": {each.kind: each.as_dict() for each in self.losses},
            "questions": [_question_dict(self.subjects, number, one) for number, one in enumerate(self.questions)],
            "notes": list(self.notes),
            "report": None if self.report is None else str(self.report),
        }


def _test_dict(test: TestLoss) -> dict[str, Any]:
    return {
        "loss": test.loss,
        "perplexity": test.perplexity,
        "tokens": test.tokens,
        "examples": test.examples,
        "skipped_long": test.skipped_long,
    }


def _generating_dict(generating: Generating) -> dict[str, Any]:
    return {
        "prompt_tokens": generating.prompt_tokens,
        "generated_tokens": generating.generated_tokens,
        "prompt_tokens_per_second": generating.prompt_tokens_per_second,
        "generated_tokens_per_second": generating.generated_tokens_per_second,
    }


def _question_dict(subjects: Sequence[Subject], number: int, question: Listed) -> dict[str, Any]:
    return {
        "where": question.where,
        "question": question.asked,
        "expected": question.expected or None,
        "answers": {
            subject.name: subject.answers[number].as_dict() for subject in subjects if number < len(subject.answers)
        },
    }
