"""A packed row computes exactly what each sample computes alone, in every architecture."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from myna.batching.batch import Batch, Segment
from myna.batching.rows import pack
from myna.data.example import Source
from myna.engines import choose
from myna.engines.torch.load import named_trainable
from myna.errors import ModelError
from myna.models.adapters import AdapterSpec, initial_tensors, resolve
from myna.models.files import find
from myna.prompts.sample import Sample
from tiny_models import random_tokens, save_tiny

# Float32: packing changes only the order of additions. 2e-5 is some 150 units in the last place; a wrong mask
# or position, scale or soft-cap is off by 1e-2 or more on these models (their weights are drawn large for that).
TOLERANCE = 2e-5


def packed(parts, parents, prompt: int = 2) -> Batch:
    """Lay parts out in a row; each part's tokens after the first `prompt` (all, for a child) carry loss."""
    segments, positions, predictors, targets, start = [], [], [], [], 0
    for part, parent in zip(parts, parents, strict=True):
        first = 0 if parent is None else len(parts[parent])
        segments.append(Segment(start, start + len(part), parent))
        positions.append(np.arange(first, first + len(part)))
        if parent is not None:
            predictors.append(segments[parent].stop - 1)
            targets.append(part[0])
        begin = prompt if parent is None else 1
        if parent is not None or parents.count(len(segments) - 1) == 0:
            predictors.extend(range(start + begin - 1, start + len(part) - 1))
            targets.extend(part[begin:])
        start += len(part)
    return Batch(
        tokens=np.concatenate(parts).astype(np.int32),
        positions=np.concatenate(positions).astype(np.int32),
        segments=tuple(segments),
        predictors=np.array(predictors, np.int32),
        targets=np.array(targets, np.int32),
    )


def one_by_one(folder, sequences, trained_from):
    """The library's own eager model on each sequence alone: mean loss and gradients of all parameters."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    count = sum(len(s) - t for s, t in zip(sequences, trained_from, strict=True))
    total = 0.0
    for sequence, start in zip(sequences, trained_from, strict=True):
        ids = torch.from_numpy(sequence).long()
        logits = model(input_ids=ids[None], use_cache=False).logits[0, start - 1 : -1]
        loss = F.cross_entropy(logits.float(), ids[start:], reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.numpy() for name, p in model.named_parameters()}


def full_spec(files) -> AdapterSpec:
    return resolve(files, kind="full", keys=None, num_layers=-1, rank=8, scale=1.0, dropout=0.0)


def assert_same_gradients(ours, reference):
    assert set(ours) == set(reference)
    for name, expected in reference.items():
        scale = np.abs(expected).max()
        assert scale > 0, name
        assert np.abs(ours[name] - expected).max() <= TOLERANCE * scale, name


def test_packed_segments_give_each_samples_own_loss_and_gradients(tiny):
    rng = np.random.default_rng(0)
    parts = [random_tokens(rng, n) for n in (11, 3, 17, 6)]
    files = find(str(tiny))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    loss, gradients = model.loss_and_gradients([packed(parts, [None] * 4)])
    expected, reference = one_by_one(tiny, parts, [2] * 4)
    assert loss == pytest.approx(expected, rel=TOLERANCE)
    assert_same_gradients(gradients, reference)


def test_segments_that_share_a_parent_give_the_gradients_of_whole_sequences(tiny):
    rng = np.random.default_rng(1)
    prefix, other = random_tokens(rng, 13), random_tokens(rng, 9)
    children = [random_tokens(rng, n) for n in (4, 1, 8)]
    row = packed([prefix, children[0], other, children[1], children[2]], [None, 0, None, 0, 0])
    files = find(str(tiny))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    loss, gradients = model.loss_and_gradients([row])
    whole = [np.concatenate([prefix, child]) for child in children] + [other]
    expected, reference = one_by_one(tiny, whole, [13, 13, 13, 2])
    assert loss == pytest.approx(expected, rel=TOLERANCE)
    assert_same_gradients(gradients, reference)


def test_a_childs_parent_may_have_a_parent_itself(tiny_llama):
    rng = np.random.default_rng(2)
    a, b, c = (random_tokens(rng, n) for n in (5, 4, 6))
    segments = (Segment(0, 5), Segment(5, 9, 0), Segment(9, 15, 1))
    row = Batch(
        np.concatenate([a, b, c]),
        np.arange(15, dtype=np.int32),
        segments,
        np.arange(8, 14, dtype=np.int32),
        c,
    )
    files = find(str(tiny_llama))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    loss, gradients = model.loss_and_gradients([row])
    expected, reference = one_by_one(tiny_llama, [np.concatenate([a, b, c])], [9])
    assert loss == pytest.approx(expected, rel=TOLERANCE)
    assert_same_gradients(gradients, reference)


def test_rows_of_a_step_share_one_mean_over_all_trained_tokens(tiny_llama):
    rng = np.random.default_rng(3)
    parts = [random_tokens(rng, n) for n in (20, 4, 9)]
    files = find(str(tiny_llama))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    loss, gradients = model.loss_and_gradients([packed(parts[:1], [None]), packed(parts[1:], [None, None])])
    expected, reference = one_by_one(tiny_llama, parts, [2] * 3)
    assert loss == pytest.approx(expected, rel=TOLERANCE)
    assert_same_gradients(gradients, reference)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_lora_gradients_do_not_depend_on_how_weights_are_stored(tmp_path, kind, monkeypatch):
    """bfloat16 files, computed in float32: expanding matrices when used equals expanding them at the start."""
    files = find(str(save_tiny(tmp_path / "m", "gemma2", dtype=torch.bfloat16)))
    spec = resolve(files, kind=kind, keys=None, num_layers=2, rank=4, scale=2.0, dropout=0.0)
    row = packed([random_tokens(np.random.default_rng(4), n) for n in (9, 12)], [None, None])
    results = []
    for share in (1.0, 0.0):
        monkeypatch.setattr("myna.engines.torch._EXPANDED_SHARE", share)
        model = choose("torch").load(files, adapter=spec, dtype="float32", device="cpu")
        model.load_trainable(away_from_zero(initial_tensors(spec, files, 0)))
        results.append(model.loss_and_gradients([row]))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert_same_gradients(results[1][1], results[0][1])


def away_from_zero(tensors):
    """B starts at zero, which hides A's gradient; move it."""
    rng = np.random.default_rng(5)
    return {n: t + 0.1 * rng.standard_normal(t.shape).astype(np.float32) for n, t in tensors.items()}


def test_gradient_checkpointing_gives_the_same_gradients(tiny):
    from myna.engines.base import OptimizerSpec

    files = find(str(tiny))
    spec = resolve(files, kind="lora", keys=None, num_layers=-1, rank=4, scale=2.0, dropout=0.0)
    row = packed([random_tokens(np.random.default_rng(6), n) for n in (9, 12)], [None, None])
    results = []
    for checkpointing in (False, True):
        model = choose("torch").load(files, adapter=spec, dtype="float32", device="cpu")
        model.load_trainable(away_from_zero(initial_tensors(spec, files, 0)))
        model.prepare_training(OptimizerSpec(), gradient_checkpointing=checkpointing, seed=0)
        results.append(model.loss_and_gradients([row]))
    assert results[0][0] == results[1][0]
    assert_same_gradients(results[1][1], results[0][1])


def test_nothing_below_the_lowest_trained_layer_is_kept_for_the_backward_pass(tiny_llama):
    files = find(str(tiny_llama))
    saved = {}
    row = packed([random_tokens(np.random.default_rng(7), 40)], [None])
    for layers in (1, 3):
        spec = resolve(files, kind="lora", keys=None, num_layers=layers, rank=4, scale=2.0, dropout=0.0)
        model = choose("torch").load(files, adapter=spec, dtype="float32", device="cpu")
        count = 0

        def pack(tensor):
            nonlocal count
            count += 1
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            model.model.train()
            model.loss(row)
        saved[layers] = count
    assert saved[1] < 0.5 * saved[3]


def test_an_architecture_that_is_not_tested_here_is_refused_by_name(tmp_path):
    from transformers import AutoConfig

    config = AutoConfig.for_model("gpt2", n_embd=16, n_layer=1, n_head=2, vocab_size=32)
    from transformers import AutoModelForCausalLM as Model

    Model.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="gpt2"):
        choose("torch").load(find(str(tmp_path)))


def test_an_attention_argument_that_would_be_ignored_is_refused(tiny_llama):
    from myna.engines.torch.attention import Layout, segment_attention

    row = packed([np.arange(4, dtype=np.int32)], [None])
    q = torch.zeros(1, 2, 4, 8)
    with pytest.raises(ModelError, match="s_aux"):
        segment_attention(torch.nn.Linear(1, 1), q, q, q, None, layout=Layout(row, q.device), scaling=1.0, s_aux=q)


def test_trainable_names_are_those_of_the_files(tiny):
    files = find(str(tiny))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    assert set(named_trainable(model.model)) == set(files.tensors)


def test_questions_that_share_a_prompt_give_the_gradients_of_each_alone(tiny):
    """`pack` computes the common prefix once; learnt tokens stand within it, right after it, and further on."""
    rng = np.random.default_rng(3)
    prefix = random_tokens(rng, 20)
    samples = []
    for length in (5, 9, 4):
        tokens = np.concatenate([prefix, random_tokens(rng, length)]).astype(np.int32)
        samples.append(Sample(tokens, np.arange(len(tokens)) >= 18, Source("train.jsonl", length)))
    files = find(str(tiny))
    model = choose("torch").load(files, adapter=full_spec(files), dtype="float32", device="cpu")
    shared = pack(samples, tokens_per_row=100)
    assert [len(batch.segments) for batch in shared] == [4]
    loss, gradients = model.loss_and_gradients(shared)
    expected, reference = one_by_one(tiny, [sample.tokens for sample in samples], [18] * 3)
    assert loss == pytest.approx(expected, rel=TOLERANCE)
    assert_same_gradients(gradients, reference)
