from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna import evaluation
from myna.engines import choose
from myna.errors import AdapterError, DataError, PromptError, RunError
from myna.evaluation import Score, fixed_selection, mean_loss, perplexity
from myna.models.files import find
from myna.prompts.builder import PromptBuilder
from myna.prompts.store import build_samples
from small_runs import sums, write_lines

FLOAT32 = {"dtype": "float32", "device": "cpu"}


def one_by_one(folder: Path) -> tuple[float, int]:
    """Loss sum and tokens of the base model on the test data, from the logits of each example alone."""
    from myna.data.folder import open_split

    files = find(str(folder / "model"))
    model = choose().load(files, **FLOAT32)
    store = build_samples(
        open_split(folder / "data", "test"),
        PromptBuilder.load(files.folder),
        max_tokens=2048,
        directory=folder / "one-by-one",
    )
    total, tokens = 0.0, 0
    for sample in store:
        logits = model.logits(sample.tokens).astype(float)
        for place in range(1, len(sample)):
            if sample.trained[place]:
                row = logits[place - 1]
                total += math.log(sum(math.exp(x - row.max()) for x in row)) + row.max() - row[sample.tokens[place]]
                tokens += 1
    return total, tokens


def test_the_loss_is_the_mean_over_all_trained_tokens(finished: Path) -> None:
    total, tokens = one_by_one(finished)
    (score,) = evaluation.test(str(finished / "model"), finished / "data", **FLOAT32)
    assert score.tokens == tokens
    assert score.examples == 5
    assert score.iteration is None
    # float32 logits against a float64 sum
    assert score.loss == pytest.approx(total / tokens, rel=1e-5)
    assert score.perplexity == pytest.approx(math.exp(score.loss))


def test_every_checkpoint_and_the_base_are_scored_in_one_go(finished: Path) -> None:
    heard: list[Score] = []
    scores = evaluation.test(
        str(finished / "model"),
        finished / "data",
        adapter_path=finished / "run",
        checkpoints=True,
        listener=heard.append,
        **FLOAT32,
    )
    assert heard == scores
    assert [score.iteration for score in scores] == [0, 2, 3, 4, 6, 8]
    assert scores[-1].loss < scores[0].loss
    (base,) = evaluation.test(str(finished / "model"), finished / "data", **FLOAT32)
    assert scores[0].loss == base.loss
    for score in scores[1:]:
        (alone,) = evaluation.test(str(finished / "model"), finished / "data", adapter_path=score.name, **FLOAT32)
        assert alone.loss == score.loss


def test_the_loss_is_told_by_what_the_lines_have_under_a_key(finished: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (finished / "data" / "test.jsonl").read_text("utf-8").splitlines()]
    articles = ["one", "other", "one", None, "other"]
    named = [
        line if article is None else {**line, "source": article} for line, article in zip(lines, articles, strict=True)
    ]
    write_lines(tmp_path / "test.jsonl", named)
    (score,) = evaluation.test(str(finished / "model"), tmp_path, by="source", **FLOAT32)
    parts = {part.value: part for part in score.parts}
    assert {value: part.examples for value, part in parts.items()} == {"one": 2, "other": 2, "(none)": 1}
    assert sum(part.loss * part.tokens for part in score.parts) / score.tokens == pytest.approx(score.loss, rel=1e-5)
    assert [part.loss for part in score.parts] == sorted((part.loss for part in score.parts), reverse=True)
    for value, part in parts.items():
        own = [line for line, article in zip(lines, articles, strict=True) if (article or "(none)") == value]
        (tmp_path / value).mkdir()
        write_lines(tmp_path / value / "test.jsonl", own)
        (alone,) = evaluation.test(str(finished / "model"), tmp_path / value, **FLOAT32)
        assert alone.loss == pytest.approx(part.loss, rel=1e-6)
    with pytest.raises(DataError, match=r"test\.jsonl: no line has the key 'article'"):
        evaluation.test(str(finished / "model"), tmp_path, by="article", **FLOAT32)


def test_a_run_folder_means_its_kept_adapter(finished: Path) -> None:
    kept = json.loads((finished / "run" / "adapter" / "myna.json").read_text())["iteration"]
    checkpoint = finished / "run" / "checkpoints" / f"{kept:06d}"
    one, other = (
        evaluation.test(str(finished / "model"), finished / "data", adapter_path=path, **FLOAT32)[0].loss
        for path in (finished / "run", checkpoint)
    )
    assert one == other


def test_what_the_adapter_was_trained_with_is_taken_for_testing(finished: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(finished / "run" / "adapter", adapter)
    note = json.loads((adapter / "myna.json").read_text())
    note |= {"mask_prompt": False, "keys": {**note["keys"], "prompt": "question", "completion": "answer"}}
    (adapter / "myna.json").write_text(json.dumps(note))
    data = tmp_path / "data"
    data.mkdir()
    write_lines(data / "test.jsonl", [{"question": s["prompt"], "answer": s["completion"]} for s in sums(15, 20)])
    (everything,) = evaluation.test(str(finished / "model"), data, adapter_path=adapter, **FLOAT32)
    (answers,) = evaluation.test(str(finished / "model"), data, adapter_path=adapter, mask_prompt=True, **FLOAT32)
    assert everything.tokens > answers.tokens


@pytest.mark.parametrize("keys", [{"question": "prompt"}, {"prompt": 1}, ["prompt"], None])
def test_keys_of_a_foreign_adapter_that_mean_nothing_are_said(finished: Path, tmp_path: Path, keys: object) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(finished / "run" / "adapter", adapter)
    note = json.loads((adapter / "myna.json").read_text())
    (adapter / "myna.json").write_text(json.dumps(note | {"keys": keys}))
    with pytest.raises(AdapterError, match=r'adapter: myna\.json says "keys": .*, expected what the data has for text'):
        evaluation.test(str(finished / "model"), finished / "data", adapter_path=adapter, **FLOAT32)


def test_some_batches_are_always_the_same_ones(finished: Path) -> None:
    scores = [
        evaluation.test(str(finished / "model"), finished / "data", batch_size=1, test_batches=2, **FLOAT32)[0]
        for _ in range(2)
    ]
    assert scores[0] == scores[1]
    assert scores[0].examples == 2


def test_checkpoints_of_what_is_no_run_are_refused(finished: Path) -> None:
    with pytest.raises(RunError, match="--adapter-path"):
        evaluation.test(str(finished / "model"), finished / "data", checkpoints=True)
    with pytest.raises(RunError, match="not a run folder"):
        evaluation.test(
            str(finished / "model"), finished / "data", adapter_path=finished / "run" / "adapter", checkpoints=True
        )


def test_data_without_a_test_set_is_said(finished: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", sums(0, 3))
    with pytest.raises(DataError, match=r"no test\.jsonl"):
        evaluation.test(str(finished / "model"), tmp_path)
    with pytest.raises(PromptError, match="all 5 examples are over 8 tokens"):
        evaluation.test(str(finished / "model"), finished / "data", max_seq_length=8)


def test_scores_are_plain_json(finished: Path) -> None:
    (score,) = evaluation.test(str(finished / "model"), finished / "data", **FLOAT32)
    assert {"loss", "perplexity", "tokens", "examples"} <= score.as_dict().keys()
    assert "iteration" not in score.as_dict()
    endless = Score(loss=800.0, perplexity=math.inf, tokens=1, examples=1, skipped_long=0, iteration=5, name="x")
    assert json.loads(json.dumps(endless.as_dict(), allow_nan=False))["perplexity"] is None
    assert endless.as_dict()["iteration"] == 5


def test_perplexity_never_overflows() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(709.0) < math.inf
    assert perplexity(710.0) == math.inf


def test_the_mean_of_nothing_is_no_number(finished: Path) -> None:
    loss, tokens = mean_loss(choose().load(find(str(finished / "model")), **FLOAT32), [])
    assert math.isnan(loss)
    assert tokens == 0


@given(st.integers(0, 60), st.none() | st.integers(0, 80), st.integers(0, 2**40))
def test_a_selection_is_fixed_sorted_and_without_doubles(count: int, wanted: int | None, seed: int) -> None:
    chosen = list(fixed_selection(count, wanted, seed))
    assert chosen == list(fixed_selection(count, wanted, seed))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == (count if wanted is None else min(count, wanted))
    assert set(chosen) <= set(range(count))
