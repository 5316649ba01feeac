"""How fast are ready predictions scored, and does gold score 100 %: WikiSQL's test half, and Spider's training queries.

Data folders are built from the real files, then gold is scored against itself, and once more with every third answer
being another question's (wrong answers cost a second query and the search for their cause). The bars on two cores:
7,000 WikiSQL predictions in 30 s, Spider's 7,000 in 120 s. Building is not counted.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --only wikisql --workers 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from myna.builders.spider import build_spider
from myna.builders.wikisql import build_wikisql
from myna.text2sql.scoring import score

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def wikisql(shared: Path, out: Path) -> tuple[Path, str]:
    build_wikisql(shared / "wikisql", out, train_size=1, valid_size=0, test_file="test_a")
    return out, "test"


def spider(shared: Path, out: Path) -> tuple[Path, str]:
    build_spider(shared / "spider", out, valid_share=0.0, test_share=0.0)
    return out, "train"


SOURCES: dict[str, Callable[[Path, Path], tuple[Path, str]]] = {"wikisql": wikisql, "spider": spider}


def gold(data: Path, split: str) -> list[str]:
    with (data / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["sql"]["gold"] for line in lines]


def every_third_wrong(answers: list[str]) -> list[str]:
    return [answers[index - 7] if index % 3 == 0 else answer for index, answer in enumerate(answers)]


def measure(name: str, data: Path, split: str, answers: list[str], workers: int | None) -> dict[str, Any]:
    file = data / "predictions.jsonl"
    file.write_text("".join(json.dumps({"sql": answer}) + "\n" for answer in answers), "utf-8")
    began = time.perf_counter()
    result = score(data, predictions=file, split=split, workers=workers, output=data / f"scores-{name}")
    shown = result.as_dict()
    seconds = time.perf_counter() - began
    print(f"{name}: {dict(result.causes)}", *result.notes, sep="\n  ")
    keys = ("examples", "left_out", "execution_accuracy", "exact_match", "valid")
    return {"name": name, "seconds": seconds, **{key: shown[key] for key in keys}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with wikisql/ and spider/")
    parser.add_argument("--only", choices=list(SOURCES), help="measure one of them")
    parser.add_argument("--workers", type=int, help="processes; by default the cores of this machine")
    arguments = parser.parse_args()
    figures = []
    for name in [arguments.only] if arguments.only else list(SOURCES):
        with tempfile.TemporaryDirectory(prefix="myna-scoring-") as directory:
            data, split = SOURCES[name](arguments.shared, Path(directory) / name)
            right = gold(data, split)
            for kind, answers in (("gold", right), ("one third wrong", every_third_wrong(right))):
                figures.append(measure(f"{name}, {kind}", data, split, answers, arguments.workers))
    print(f"{'':<26}{'questions':>10}{'left out':>10}{'seconds':>9}{'execution':>11}{'exact':>7}{'valid':>7}")
    for each in figures:
        shares = "".join(
            f"{100 * each[key]:>{width}.1f}"
            for key, width in (("execution_accuracy", 11), ("exact_match", 7), ("valid", 7))
        )
        print(f"{each['name']:<26}{each['examples']:>10,}{each['left_out']:>10}{each['seconds']:>9.1f}{shares}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
