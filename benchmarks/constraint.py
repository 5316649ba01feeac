"""What does it cost to hold a model to a schema's grammar?

The starter, with a vocabulary of 4,096, and a tiny model of random weights with Qwen2.5's 151,936 tokens, where masks
are largest. Greedy decoding of the same prompts, in the same batch, free and held to the grammar of a schema of ten
tables, in turns; answers are kept from ending, so that the batch stays whole. Tokens a second, from the first token to
the last. Random weights are the worst case: nearly every token has to be looked for among the allowed ones, where a
trained model's likeliest token is allowed most of the time. Also: the time to write and to compile grammars of 1 to 50
tables.

    python benchmarks/constraint.py
    python benchmarks/constraint.py --batch 16 64 --steps 32 --rounds 5 --json constraint.json

Needs `pip install 'myna[torch,sql,dev]'`; Qwen2.5's tokenizer folder (`--tokenizer`) for the second model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myna.databases.schema import Column, ForeignKey, Schema, Table
from myna.engines.base import Constraint
from myna.generation import LanguageModel, Sampling, load
from myna.prompts.builder import PromptBuilder
from myna.text2sql.constraint import Constrainer
from myna.text2sql.grammar import grammar

ROOT = Path(__file__).resolve().parents[1]
QWEN = ROOT.parent / "shared" / "data" / "tokenizers" / "qwen2.5"
WORDS = ("name", "city", "year", "price", "total", "code", "kind", "status", "opened", "owner", "rank", "score")


def schema_of(tables: int) -> Schema:
    """Tables of eight columns, each with a key to an earlier one."""
    made = []
    for number in range(tables):
        names = ["id", "parent_id", *(f"{WORDS[(number * 5 + i * 7) % 12]}_{(number + i) % 9}" for i in range(6))]
        key = (ForeignKey(("parent_id",), f"table_{number // 2}", ("id",)),) if number else ()
        made.append(Table(f"table_{number}", tuple(Column(name, "TEXT", "text") for name in names), ("id",), key))
    return Schema(tuple(made))


def make_wide(folder: Path, tokenizer: Path) -> Path:
    """Write a tiny Qwen2 with Qwen2.5's vocabulary."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151936, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=151645, bos_token_id=151643,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


class Endless:
    """A constraint under which no answer ends as long as anything else is allowed."""

    def __init__(self, inner: Constraint, ends: frozenset[int]) -> None:
        self._inner, self._ends = inner, ends

    def allowed(self, sequences: Sequence[int]) -> NDArray[np.uint32]:
        """See `engines.base.Constraint`."""
        masks = self._inner.allowed(sequences)
        for row in masks:
            kept = row.copy()
            for end in self._ends:
                kept[end >> 5] &= ~np.uint32(1 << (end & 31))
            if kept.any():
                row[:] = kept
        return masks

    def taken(self, sequences: Sequence[int], tokens: Sequence[int]) -> None:
        """See `engines.base.Constraint`."""
        self._inner.taken(sequences, tokens)


def speed(model: LanguageModel, batch: int, steps: int, constrainer: Constrainer | None, rules: str) -> float:
    """Tokens a second after the first of each prompt."""
    prompts = [
        model.prompt_tokens(f"Question {i}: " + "how many of them are there? " * 8, raw=True) for i in range(batch)
    ]
    constraint: Any = None
    if constrainer is not None:
        # Far more tokens than are generated: no answer is brought to an end.
        constraint = Endless(constrainer.hold([rules] * batch)(range(batch), 100 * steps), model.builder.end_tokens)
    ends = model.builder.end_tokens if constrainer is not None else frozenset[int]()
    events = model.model.generate(
        prompts, max_tokens=steps, end_tokens=ends, sampling=Sampling(), constraint=constraint
    )
    times = [time.perf_counter() for _ in events]
    return (len(times) - batch) / (times[-1] - times[batch - 1])


def compile_times(builder: PromptBuilder, tables: Sequence[int]) -> list[dict[str, float]]:
    constrainer, rows = Constrainer(builder), []
    for count in tables:
        schema, begun = schema_of(count), time.perf_counter()
        rules = grammar(schema)
        written = time.perf_counter()
        constrainer.matcher(rules)
        done = time.perf_counter()
        rows.append({"tables": count, "write_ms": 1e3 * (written - begun), "compile_ms": 1e3 * (done - written)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokenizer", type=Path, default=QWEN)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    rules, rows = grammar(schema_of(10)), []
    with tempfile.TemporaryDirectory() as work:
        models = {"starter": "starter"}
        if arguments.tokenizer.exists():
            models["tiny, vocabulary 151,936"] = str(make_wide(Path(work) / "wide", arguments.tokenizer))
        for name, source in models.items():
            model = load(source, dtype="float32")
            constrainer = Constrainer(model.builder)
            for batch in arguments.batch:
                speed(model, batch, 4, constrainer, rules)
                pairs = []
                for _ in range(arguments.rounds):
                    free = speed(model, batch, arguments.steps, None, rules)
                    pairs.append((free, speed(model, batch, arguments.steps, constrainer, rules)))
                free, held = (statistics.median(column) for column in zip(*pairs, strict=True))
                share = statistics.median(each / without for without, each in pairs)
                rows.append({"model": name, "batch": batch, "free": free, "held": held, "share": share})
        grammars = compile_times(load("starter").builder, (1, 5, 10, 25, 50))
    print(f"{'model':26} {'batch':>5} {'free tok/s':>11} {'held tok/s':>11} {'share':>6}")
    for row in rows:
        print(f"{row['model']:26} {row['batch']:5} {row['free']:11.0f} {row['held']:11.0f} {row['share']:6.0%}")
    print(f"\n{'tables':>6} {'write ms':>9} {'compile ms':>11}")
    for each in grammars:
        print(f"{each['tables']:6} {each['write_ms']:9.1f} {each['compile_ms']:11.1f}")
    figures = {"decoding": rows, "grammars": grammars}
    print(json.dumps(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
