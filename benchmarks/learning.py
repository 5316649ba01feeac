"""What does `myna learn` mend, and what does it break, with how much of the old data beside the corrections?

A run on the demo's three-table database is asked its validation questions; where the rows are wrong, the right SQL is
kept as a correction, as `\\fix` does. Then it learns them with several settings of `--replay` (3 is the default).

    python benchmarks/learning.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import myna
from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.databases import Database
from myna.errors import QueryError
from myna.generation import load
from myna.recipe import LearningRateSchedule, LoraParameters, Recipe
from myna.starter.files import write_database
from myna.text2sql.asking import Asker, ModelAnswerer
from myna.text2sql.asking.corrections import Corrections
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.learning import learn


def corrected(database: Path, data: Path, run: Path, kept: Corrections) -> tuple[int, int]:
    """Ask the validation questions and keep what is wrong. Returns how many were asked, and how many kept."""
    wrong = asked = 0
    answerer = ModelAnswerer(load("starter", adapter_path=run))
    with Database.open(database) as opened, Asker(opened, answerer) as asker:
        for example in open_split(data, "valid"):
            facts = SqlFacts.of(example)
            assert facts is not None
            answer = asker.ask(str(example.messages[-2]["content"]).partition("\nHints:")[0])
            right = opened.run(facts.gold)
            asked += 1
            ordered = is_ordered(facts.gold, opened.dialect)
            if answer.result is None or not same_result(right, answer.result, ordered=ordered):
                try:
                    kept.keep(answer, facts.gold, opened)
                    wrong += 1
                except QueryError:
                    pass
    return asked, wrong


def share(rate: dict[str, Any]) -> str:
    return f"{rate['right']}/{rate['of']}"


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", type=float, nargs="+", default=[0.0, 3.0, 8.0])
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--iters", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(prefix="myna-learning-") as directory:
        work = Path(directory)
        database, data, run, kept = work / "birds.sqlite", work / "data", work / "run", work / "corrections.jsonl"
        write_database("birds", database)
        build_database(database, data, size=arguments.pairs, samples=0)
        myna.train(
            Recipe(
                model="starter",
                data=str(data),
                adapter_path=str(run),
                num_layers=-1,
                lora_parameters=LoraParameters(rank=16, scale=2.0),
                batch_size=16,
                iters=arguments.iters,
                learning_rate=2e-3,
                lr_schedule=LearningRateSchedule(name="cosine_decay", warmup=arguments.iters // 10),
                save_every=arguments.iters,
            )
        )
        asked, wrong = corrected(database, data, run, Corrections(kept))
        print(f"{asked} questions asked, {wrong} corrected", flush=True)
        for replay in arguments.replay:
            result = learn(run, kept, out=work / f"replay-{replay:g}", replay=replay, constrain="content")
            figures[f"{replay:g}"] = result.as_dict()
    print(f"{'replay':>6}  {'steps':>5}  {'test':15}{'held-out corrections':24}{'trained':22}newly wrong  kept")
    for replay, found in figures.items():
        cells = [
            f"{share(both['before'])} → {share(both['after'])}" if both else "–"
            for both in (found["scores"].get(group) for group in ("test", "held out", "trained"))
        ]
        print(
            f"{replay:>6}  {found['iterations']:5}  {cells[0]:15}{cells[1]:24}{cells[2]:22}"
            f"{len(found['newly_wrong']):11}  {found['kept']}"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
