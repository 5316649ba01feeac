"""What can the starter model do? The figures of its card.

WikiSQL's test questions by execution, in each way of decoding, with questions answered and judged a second. Plain SQL
beyond WikiSQL's form: pairs generated from ten of Spider's databases that its training kept out, in English and
Chinese, by construct. And the seconds of one question after another, asked as `myna ask` does, of the demo's table.

    myna data wikisql WikiSQL/data --hints --train-file train.exec --test-file test_a.exec --out build/wikisql
    python benchmarks/starter.py --wikisql build/wikisql --spider spider/database
    python benchmarks/starter.py --model build/fused --wikisql build/wikisql --split valid --size 300 --constrain off

Nothing here is looked at while settings are chosen, but with `--split valid`, whose tables are training tables.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import myna
from myna.builders.database.build import build_database
from myna.databases import Database
from myna.generation import load
from myna.starter.files import write_database
from myna.starter.questions import QUESTIONS
from myna.text2sql.asking import Asker, ModelAnswerer
from myna.text2sql.scoring.intervals import Rate

HELD_OUT = Path(__file__).resolve().parents[1] / "recipes" / "starter" / "held_out.txt"
PAIRS = 120
"""Generated of each database, of which most are scored."""
Constrain = Literal["off", "schema", "content"]


def wikisql(model: str, data: Path, split: Any, size: int | None, settings: list[Constrain]) -> dict[str, Any]:
    """Score each way of decoding."""
    figures = {}
    for constrain in settings:
        began = time.perf_counter()
        result = myna.score(data, model=model, split=split, size=size, constrain=constrain, batch_size=64)
        rates, seconds = result.rates, time.perf_counter() - began
        figures[constrain] = {**rates.as_dict(), "questions_per_second": rates.execution.of / seconds}
        print(
            f"WikiSQL {split}, --constrain {constrain:<8}{told(rates.execution)}, valid {share(rates.valid)}, "
            f"{figures[constrain]['questions_per_second']:.0f} questions/s",
            flush=True,
        )
    return figures


def generated(model: str, databases: Path, settings: list[Constrain]) -> dict[str, Any]:
    """Score pairs of the databases that were kept out, all of them together."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="myna-starter-") as directory:
        folders = []
        for name in HELD_OUT.read_text("utf-8").split():
            for language in ("en", "zh"):
                folder = Path(directory) / f"{name}-{language}"
                source = databases / name / f"{name}.sqlite"
                build_database(
                    source, folder, size=PAIRS, language=language, samples=0, valid_share=0.0, test_share=0.9
                )
                folders.append((folder, language))
        for constrain in settings:
            rights: defaultdict[str, list[Rate]] = defaultdict(list)
            for folder, language in folders:
                result = myna.score(folder, model=model, constrain=constrain, batch_size=64)
                rights[language].append(result.rates.execution)
                for construct, rates in result.groups["construct"].items():
                    rights[f"{language}: {construct}"].append(rates.execution)
            pooled = {key: Rate(sum(r.right for r in all_), sum(r.of for r in all_)) for key, all_ in rights.items()}
            figures[constrain] = {key: rate.as_dict() for key, rate in pooled.items()}
            for key, rate in sorted(pooled.items()):
                print(f"Databases kept out, --constrain {constrain:<8}{key:<24}{told(rate)}", flush=True)
    return figures


def asking(model: str) -> dict[str, Any]:
    """Measure single questions, each after the first."""
    with tempfile.TemporaryDirectory(prefix="myna-starter-") as directory:
        path = Path(directory) / "students.sqlite"
        write_database("students", path)
        answerer = ModelAnswerer(load(model))
        with Database.open(path) as database, Asker(database, answerer) as asker:
            asker.ask(QUESTIONS[0].english)
            seconds = []
            for question in QUESTIONS * 3:
                began = time.perf_counter()
                asker.ask(question.english)
                seconds.append(time.perf_counter() - began)
    print(f"One question: {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s at most", flush=True)
    return {"median": statistics.median(seconds), "most": max(seconds)}


def told(rate: Rate) -> str:
    low, high = rate.interval or (0.0, 0.0)
    return f"{share(rate)} % ({100 * low:.1f}–{100 * high:.1f}) of {rate.of:,}"


def share(rate: Rate) -> str:
    return "–" if rate.share is None else f"{100 * rate.share:5.1f}"


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--wikisql", type=Path, help="data folder")
    parser.add_argument("--split", default="test", choices=("test", "valid"))
    parser.add_argument("--size", type=int)
    parser.add_argument("--spider", type=Path, help="folder with Spider's databases")
    parser.add_argument("--constrain", nargs="+", default=["off", "schema", "content"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"asking": asking(arguments.model)}
    if arguments.wikisql is not None:
        figures["wikisql"] = wikisql(
            arguments.model, arguments.wikisql, arguments.split, arguments.size, arguments.constrain
        )
    if arguments.spider is not None:
        figures["generated"] = generated(arguments.model, arguments.spider, arguments.constrain)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
