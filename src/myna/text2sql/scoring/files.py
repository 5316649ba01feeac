"""The folder of results: `score.json`, `answers.jsonl`, `wrong.md`, and `official/` for the benchmarks' own evaluators.

    official/wikisql/STEM.jsonl              the scored questions in WikiSQL's form, for `evaluate.py SOURCE DB PRED`
    official/wikisql/STEM.predictions.jsonl  one line for each of them
    official/spider/gold.sql                 `SQL<TAB>database`, for the test-suite evaluator
    official/spider/predictions.sql          one SQL a line

The files pair line by line, also when only some questions of a data set were scored. A score goes in. Knows nothing of
how it was found.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from myna.foreign_text import markdown, visible
from myna.runs import held_folder, write_file
from myna.text2sql.scoring.causes import NO_SQL
from myna.text2sql.scoring.journal import FILE as JOURNAL
from myna.text2sql.scoring.result import Answer, ScoreResult
from myna.text2sql.scoring.verdict import Shown
from myna.text2sql.spider import write_gold, write_predictions

_FILES = ("score.json", "answers.jsonl", "wrong.md")
_OFFICIAL = "official"

_LONGEST = 4000
"""Characters of a question or an answer that the listing shows; `answers.jsonl` has all of them."""


def results_folder(folder: Path | None) -> AbstractContextManager[object]:
    """Make the folder, and be the only process that scores into it while the context lasts; see `held_folder`."""
    if folder is None:
        return nullcontext()
    return held_folder(folder, "scores", mark=JOURNAL, instead="name another folder with --out")


def write_results(folder: Path, result: ScoreResult) -> None:
    """Write all files. Raises `ResourceError` (disk full) and `RunError` (not permitted)."""
    score, answers, wrong = (folder / name for name in _FILES)
    write_file(score, json.dumps(result.as_dict(), ensure_ascii=False, indent=2) + "\n")
    write_file(answers, _json_lines(answer.as_dict() for answer in result.answers))
    write_file(wrong, "\n".join(_listing(result)) + "\n")
    scored = [answer for answer in result.answers if not answer.verdict.left_out]
    _write_wikisql(folder / _OFFICIAL / "wikisql", scored)
    _write_spider(folder / _OFFICIAL / "spider", scored)


def _json_lines(records: Iterable[Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _write_wikisql(folder: Path, answers: Sequence[Answer]) -> None:
    """Write source and predictions for each database of WikiSQL, which is one of its splits."""
    by_stem: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.verdict.official is not None:
            by_stem[answer.question.facts.database].append(answer)
    for stem, mine in by_stem.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{stem}.jsonl", _json_lines(_wikisql_source(answer) for answer in mine))
        write_file(folder / f"{stem}.predictions.jsonl", "".join(f"{answer.verdict.official}\n" for answer in mine))


def _wikisql_source(answer: Answer) -> dict[str, Any]:
    query = dict(answer.question.facts.query or {})
    return {"table_id": query.pop("table_id"), "question": answer.question.asked, "sql": query}


def _write_spider(folder: Path, answers: Sequence[Answer]) -> None:
    mine = [answer for answer in answers if answer.question.facts.source == "spider"]
    if mine:
        folder.mkdir(parents=True, exist_ok=True)
        write_gold(folder / "gold.sql", ((each.question.facts.gold, each.question.facts.database) for each in mine))
        write_predictions(folder / "predictions.sql", (each.verdict.sql for each in mine))


def _listing(result: ScoreResult) -> Iterator[str]:
    """Yield the lines of `wrong.md`: every wrong answer, by cause."""
    yield f"# {len(result.wrong):,} wrong of {result.examples:,} answers"
    yield ""
    yield markdown(f"{result.name} on {result.data}")
    for cause, count in result.causes.items():
        yield ""
        yield f"## {cause}: {count:,}"
        for answer in result.wrong:
            if answer.verdict.cause == cause:
                yield from _entry(answer)


def _entry(answer: Answer) -> Iterator[str]:
    verdict = answer.verdict
    yield ""
    yield f"### {markdown(answer.question.where)} · {markdown(answer.question.facts.database)}"
    yield ""
    yield markdown(answer.question.asked[:_LONGEST])
    yield ""
    yield from _code(f"-- right\n{answer.question.facts.gold}\n-- answered\n{_answered(answer)}")
    others = [each for each in verdict.differences if each != verdict.cause]
    if others:
        yield f"\nAlso: {', '.join(others)}."
    if verdict.message:
        yield f"\n{markdown(verdict.message)}"
    for name, result in (("Right", verdict.gold), ("Answered", verdict.predicted)):
        if result is not None:
            yield ""
            yield from _table(name, result)


def _answered(answer: Answer) -> str:
    """Return the SQL of an answer, or the beginning of an answer without any."""
    if answer.verdict.sql is not None:
        return answer.verdict.sql[:_LONGEST]
    text = answer.text.strip()
    return f"{NO_SQL}: {text[:_LONGEST]}" if text else NO_SQL


def _code(text: str) -> Iterator[str]:
    """Yield a fenced block that nothing in `text` can end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    yield f"{fence}sql"
    yield visible(text, keep="\n\t")
    yield fence


def _table(name: str, result: Shown) -> Iterator[str]:
    more = "at least " if result.truncated else ""
    yield f"{name}: {more}{result.count:,} row{'' if result.count == 1 else 's'}"
    if result.rows:
        yield ""
        yield f"| {' | '.join(map(_cell, result.columns))} |"
        yield f"|{'---|' * len(result.columns)}"
        yield from (f"| {' | '.join(map(_cell, row))} |" for row in result.rows)
        if result.count > len(result.rows):
            yield "\n…"


def _cell(value: Any) -> str:
    return "NULL" if value is None else markdown(str(value)).replace("|", "\\|")
