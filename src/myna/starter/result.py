"""What has come of a demo: scores before and after training, questions answered, and where everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.starter.events import Asked
from myna.text2sql.scoring.intervals import Rate


@dataclass(frozen=True, slots=True)
class Change:
    """Execution accuracy before and after training, on the same questions."""

    before: Rate
    after: Rate

    def as_dict(self) -> dict[str, Any]:
        """Return both shares for JSON, and how many questions they are of."""
        return {"before": self.before.share, "after": self.after.share, "of": self.after.of}


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The result of a demo.

    learnt: on the questions kept for testing about the database that it was trained on. elsewhere: on questions about
    a database that it was not trained on. asked: every question that was asked, in order. seconds: all in all.
    """

    folder: Path
    report: Path
    learnt: Change
    elsewhere: Change
    asked: tuple[Asked, ...]
    seconds: float

    def questions(self, language: str, *, tuned: bool = True) -> Rate:
        """Return how many of the questions in a language were answered right."""
        return _right([each for each in self.asked if each.language == language and each.tuned == tuned])

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` shows."""
        english, chinese = self.questions("en"), self.questions("zh")
        return {
            "execution_accuracy": self.learnt.as_dict(),
            "questions": {"right": english.right, "of": english.of},
            "questions_in_chinese": {"right": chinese.right, "of": chinese.of},
            "elsewhere": self.elsewhere.as_dict(),
            "seconds": self.seconds,
            "folder": str(self.folder),
            "report": str(self.report),
        }


def _right(asked: Sequence[Asked]) -> Rate:
    return Rate(sum(each.right for each in asked), len(asked))
