"""The journal of a scoring: answers and verdicts as they come, so that an interrupted scoring goes on where it was.

A file of JSON lines that only grows. Its first line says what is being scored; answers to anything else are never
mixed in. Knows nothing of how answers and verdicts are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myna.errors import RunError
from myna.runs import EventLog, read_events, wrong_field
from myna.text2sql.scoring.verdict import Verdict

FILE = "journal.jsonl"

_FORMAT = 1
"""Counts up when older journals can't be gone on with, because answers would be judged otherwise."""


class Journal:
    """What is known so far of one scoring: `answers` and `verdicts` by the question's place in the list."""

    def __init__(self, folder: Path | None, key: Mapping[str, Any]) -> None:
        """Open the journal in `folder` (None keeps nothing). `key` is all that determines answers and verdicts.

        Raises `RunError` for a scoring of something else, naming what differs.
        """
        self.answers: dict[int, str] = {}
        self.verdicts: dict[int, Verdict] = {}
        self._finished = False
        self._log: EventLog | None = None
        if folder is None:
            return
        path = folder / FILE
        if path.is_file():
            self._read(path, {"format": _FORMAT, **key})
        self._log = EventLog(path)
        if not self._log.size:
            self._append({"scoring": {"format": _FORMAT, **key}})

    def answer(self, index: int, text: str) -> None:
        """Keep the model's answer to a question."""
        self.answers[index] = text
        self._append({"question": index, "answer": text})

    def verdict(self, index: int, verdict: Verdict) -> None:
        """Keep the verdict on an answer."""
        self.verdicts[index] = verdict
        self._append({"question": index, "verdict": verdict.as_dict()})

    def finish(self) -> None:
        """Note that all questions are judged and the results written."""
        if not self._finished:
            self._append({"finished": True})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()

    def _append(self, event: Mapping[str, Any]) -> None:
        if self._log is not None:
            self._log.append(event)

    def _read(self, path: Path, key: Mapping[str, Any]) -> None:
        events = read_events(path)
        before = events[0].get("scoring") if events else key
        if not isinstance(before, dict):
            raise RunError(f"{path}: not the journal of a scoring; name another folder with --out")
        if before != key:
            differs = ", ".join(sorted(name for name in key if before.get(name) != key[name])) or "the settings"
            if any("finished" in event for event in events):
                raise RunError(
                    f"{path.parent}: holds the scores of something else (what differs: {differs}); name another folder "
                    "with --out, or remove that one"
                )
            raise RunError(
                f"{path.parent}: holds an unfinished scoring of something else (what differs: {differs}); finish "
                "that one with its own settings, remove the folder, or name another one with --out"
            )
        for number, event in enumerate(events[1:], start=2):
            if "answer" in event or "verdict" in event:
                self._take(event, f"{path}:{number}")
            self._finished |= "finished" in event

    def _take(self, event: Mapping[str, Any], where: str) -> None:
        wrong = None
        if type(event.get("question")) is not int or event["question"] < 0:
            wrong = 'no "question" with its number'
        elif "answer" in event and not isinstance(event["answer"], str):
            wrong = '"answer" is no text'
        elif "answer" not in event:
            wrong = wrong_field(Verdict, event["verdict"])
        if wrong is not None:
            raise RunError(f"{where}: {wrong}; the journal was changed. Remove that line to go on")
        if "answer" in event:
            self.answers[event["question"]] = event["answer"]
        else:
            self.verdicts[event["question"]] = Verdict.from_dict(event["verdict"])
