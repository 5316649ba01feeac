"""What does tuning on one's own database bring? Data, score, training, score again, and questions, for each database.

Pairs are generated, a fifth of the queries kept for testing in forms that training never sees; the model is scored as
it is and with its adapter, decoding held to content as asking does. The first question of the test is asked before and
after. By default the databases are three of Spider's that the starter was not trained on.

    python benchmarks/own_database.py --spider spider/database
    python benchmarks/own_database.py postgresql://localhost/school --model Qwen/Qwen2.5-0.5B-Instruct
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import myna
from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.recipe import LearningRateSchedule, LoraParameters, Recipe
from myna.text2sql.facts import SqlFacts

THREE = ("store_product", "university_basketball", "student_1")


def told(source: str, model: str, work: Path, *, pairs: int, iterations: int) -> dict[str, Any]:
    """Go the whole way for one database."""
    began = time.perf_counter()
    data, run = work / "data", work / "run"
    built = build_database(source, data, size=pairs, samples=0, test_share=0.2)
    made = time.perf_counter()
    before = myna.score(data, model=model, constrain="content", batch_size=32)
    trained = myna.train(
        Recipe(
            model=model,
            data=str(data),
            adapter_path=str(run),
            num_layers=-1,
            lora_parameters=LoraParameters(rank=16, scale=2.0),
            batch_size=16,
            iters=iterations,
            learning_rate=2e-3,
            lr_schedule=LearningRateSchedule(name="cosine_decay", warmup=iterations // 10),
            steps_per_eval=iterations // 2,
            save_every=iterations,
        )
    )
    after = myna.score(data, model=model, adapter_path=run, constrain="content", batch_size=32)
    example = next(iter(open_split(data, "test")))
    facts = SqlFacts.of(example)
    assert facts is not None
    question = str(example.messages[-2]["content"]).partition("\nHints:")[0]
    answers = [myna.ask(source, question, model=model, adapter_path=adapter) for adapter in (None, run)]
    return {
        "pairs": dict(built.counts),
        "seconds": {"data": made - began, "training": trained.seconds},
        "before": before.rates.execution.as_dict(),
        "after": after.rates.execution.as_dict(),
        "valid": after.rates.valid.as_dict(),
        "asked": {"question": question, "gold": facts.gold, "answers": [answer.sql for answer in answers]},
    }


def percent(rate: dict[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{100 * rate['share']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="*", help="files or addresses; by default three of Spider's")
    parser.add_argument("--spider", type=Path, help="folder with Spider's databases")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--iters", type=int, default=120)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sources = arguments.databases
    if arguments.spider is not None:
        sources += [str(arguments.spider / name / f"{name}.sqlite") for name in THREE]
    if not sources:
        parser.error("name a database, or give --spider")
    figures = {}
    for source in sources:
        with tempfile.TemporaryDirectory(prefix="myna-own-") as directory:
            figures[source] = told(
                source, arguments.model, Path(directory), pairs=arguments.pairs, iterations=arguments.iters
            )
    print(f"{'database':24}{'pairs':>6}{'test':>6}{'data s':>8}{'train s':>9}  {'before':18}{'after':18}valid")
    for source, found in figures.items():
        pairs, seconds = found["pairs"], found["seconds"]
        print(
            f"{Path(source).stem:24}{pairs['train']:6}{pairs['test']:6}"
            f"{seconds['data']:8.1f}{seconds['training']:9.1f}  "
            f"{percent(found['before']):18}{percent(found['after']):18}{100 * found['valid']['share']:.1f}"
        )
    for source, found in figures.items():
        asked = found["asked"]
        before, after = asked["answers"]
        print(f"\n{Path(source).stem}: {asked['question']}")
        print(f"  right   {asked['gold']}\n  before  {before}\n  after   {after}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
