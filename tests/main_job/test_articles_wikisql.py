"""The main job on real input: MLX's own WikiSQL files and a small real model, from data to a fused model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import myna
from myna import evaluation
from myna.data.folder import open_split
from myna.generation import load
from myna.prompts.builder import PromptBuilder
from myna.recipe import load_recipe

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
WIKISQL = SHARED / "mlx_wikisql"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WIKISQL.exists(), reason="the whole of MLX's WikiSQL files is not here"),
]


@pytest.fixture(scope="module")
def as_prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files as prompt and completion, split where the answer begins."""
    folder = tmp_path_factory.mktemp("prompts")
    for name in ("train", "valid", "test"):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for text in _texts(WIKISQL / f"{name}.jsonl"):
                prompt, mark, answer = text.rpartition("\nA: ")
                out.write(json.dumps({"prompt": prompt + mark, "completion": answer}) + "\n")
    return folder


def _texts(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def test_lora_on_texts_more_than_halves_the_test_loss_and_fuses_exactly(tmp_path: Path) -> None:
    run, fused = tmp_path / "run", tmp_path / "fused"
    recipe = load_recipe(
        ROOT / "recipes" / "stories260k-wikisql.yaml",
        {"model": str(SHARED / "models" / "stories260K"), "data": str(WIKISQL), "adapter_path": str(run)},
    ).recipe
    result = myna.train(recipe)
    base, *checkpoints = evaluation.test(recipe.model, WIKISQL, adapter_path=run, checkpoints=True)
    assert [score.iteration for score in checkpoints] == [50, 100, 150, 200]
    assert min(score.loss for score in checkpoints) < base.loss / 2
    assert all(score.examples == 100 for score in (base, *checkpoints))

    answer = load(recipe.model, adapter_path=run).generate("table: 1-1000181-1\n", max_tokens=20)
    assert answer.text.startswith("columns:")

    myna.fuse(recipe.model, run, fused)
    (kept,) = evaluation.test(recipe.model, WIKISQL, adapter_path=run)
    assert result.best is not None
    assert kept.loss == pytest.approx(next(s.loss for s in checkpoints if s.iteration == result.best.iteration))
    # In float32, where a processor's fast bfloat16 would be taken: its roundings are larger than what is looked for.
    (kept,) = evaluation.test(recipe.model, WIKISQL, adapter_path=run, dtype="float32")
    (alone,) = evaluation.test(str(fused), WIKISQL, max_seq_length=recipe.max_seq_length, dtype="float32")
    # Base + B·A rounded once to float32, then summed over 200 tokens of 100 examples.
    assert alone.loss == pytest.approx(kept.loss, rel=1e-5)


def test_full_fine_tuning_on_answers_learns_to_stop(tmp_path: Path, as_prompts: Path) -> None:
    """The file holds no end tokens; after the reference answer the end token must be the likeliest on 90 %."""
    run = tmp_path / "run"
    recipe = load_recipe(
        ROOT / "recipes" / "stories260k-wikisql-full.yaml",
        {"model": str(SHARED / "models" / "stories260K"), "data": str(as_prompts), "adapter_path": str(run)},
    ).recipe
    myna.train(recipe)
    model = load(recipe.model, adapter_path=run)
    builder = PromptBuilder.load(SHARED / "models" / "stories260K")
    ended = []
    for example in open_split(as_prompts, "test"):
        (sample,) = builder.samples(example, max_tokens=512).samples
        (last,) = np.flatnonzero(sample.trained)[-1:]
        assert sample.tokens[last] in builder.end_tokens
        ended.append(model.model.logits(sample.tokens[:last])[-1].argmax() in builder.end_tokens)
    assert len(ended) == 100
    assert np.mean(ended) >= 0.9
