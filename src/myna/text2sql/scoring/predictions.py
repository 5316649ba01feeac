"""A file of ready predictions → one answer for each question, in order.

Plain text has one SQL a line, an empty line for no answer. JSON lines have the answer as a string of their own or
under one of a few keys, among them those that `myna generate` and other tools write. Knows nothing of SQL.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.errors import DataError, listing

ANSWER_KEYS = ("sql", "prediction", "predicted", "text", "answer", "completion", "response", "output")
"""Keys under which a JSON line may hold its answer; the first one that is there counts."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers, one for each question asked for; `notes` are for a person."""

    answers: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_predictions(path: Path, chosen: Sequence[int], total: int, questions: str) -> Predictions:
    """Read the answers to the questions `chosen` (indices) of `total`; `questions` names where they stand.

    The file has a line for each of all questions or for each chosen one. Bytes that are not UTF-8 are replaced by
    U+FFFD and noted: one damaged answer costs one answer. Raises `DataError` when the file can't be read, a line is
    no JSON, or the number of lines fits neither.
    """
    lines = _lines(path)
    expected = sorted({len(chosen), total})
    while len(lines) > expected[-1] and not lines[-1].strip():
        lines.pop()
    if len(lines) not in expected:
        wanted = f"{total:,} questions" if len(expected) == 1 else f"{total:,} questions, {len(chosen):,} chosen"
        raise DataError(
            f"{path}: {len(lines):,} predictions, but {questions} has {wanted}; "
            "expected one line for each question, in the same order, an empty one where there is no answer"
        )
    kept = list(enumerate(lines, start=1))
    if len(lines) == total:
        kept = [kept[index] for index in chosen]
    damaged = [number for number, line in kept if not _is_utf8(line)]
    texts = [(number, line.decode("utf-8", "replace")) for number, line in kept]
    answers = _json_answers(path, texts) if _is_json(path, texts) else [text for _, text in texts]
    return Predictions(tuple(answers), _damage_notes(path, damaged))


def _lines(path: Path) -> list[bytes]:
    """Return the file's lines. Only newlines divide them: SQL may hold any other character."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't read predictions from it ({error.strerror or error})") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: the file is UTF-16, expected UTF-8; save it as UTF-8")
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_json(path: Path, lines: Sequence[tuple[int, str]]) -> bool:
    """Tell whether these are JSON lines: by the name, or because the first answer is a JSON object."""
    if path.suffix == ".jsonl":
        return True
    first = next((text for _, text in lines if text.strip()), "")
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _json_answers(path: Path, lines: Sequence[tuple[int, str]]) -> list[str]:
    return [_json_answer(f"{path}:{number}", text) if text.strip() else "" for number, text in lines]


def _json_answer(where: str, text: str) -> str:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); plain SQL, one a line, goes into a .sql or .txt file") from error
    answer = _answer_in(record, where)
    # JSON can spell half of a surrogate pair, which no file or database can hold.
    return answer.encode("utf-8", "replace").decode()


def _answer_in(record: Any, where: str) -> str:
    if record is None or isinstance(record, str):
        return record or ""
    found = record if isinstance(record, dict) else {}
    key = next((key for key in ANSWER_KEYS if key in found), None)
    if key is None:
        keys = listing(found) or "none"
        raise DataError(f"{where}: none of the keys {', '.join(ANSWER_KEYS)} is there (found: {keys})")
    answer = found[key]
    if answer is not None and not isinstance(answer, str):
        raise DataError(f'{where}: "{key}" must be the answer as a text, found {type(answer).__name__}')
    return answer or ""


def _damage_notes(path: Path, damaged: Sequence[int]) -> tuple[str, ...]:
    if not damaged:
        return ()
    count = "1 line holds" if len(damaged) == 1 else f"{len(damaged):,} lines hold"
    return (f"{path.name}: {count} bytes that are not UTF-8, read as \ufffd; the first is line {damaged[0]}",)
