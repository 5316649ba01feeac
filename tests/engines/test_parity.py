"""Both engines compute the same in every architecture: logits, losses, gradients, adapters after 20 steps, text.

And each computes what a library that we did not write computes with the same adapter: peft on torch, mlx_lm on MLX.
"""

import importlib.util
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from adapted_models import TOLERANCE, adapted, assert_near, family, generated, rows, samples
from myna.batching.rows import pack
from myna.engines.base import OptimizerSpec, Sampling
from myna.models.adapters import resolve, write_mlx_adapter
from myna.models.files import find
from tiny_models import random_tokens, save_tiny

needs_mlx = pytest.mark.skipif(
    importlib.util.find_spec("mlx") is None or importlib.util.find_spec("mlx_lm") is None,
    reason="MLX has no wheel here, or is not installed: pip install 'myna[mlx]'",
)


@needs_mlx
@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_logits_losses_and_gradients_are_the_same_on_both_engines(tiny, kind):
    torch_model, mlx_model = (adapted(engine, tiny, kind) for engine in ("torch", "mlx"))
    tokens = random_tokens(np.random.default_rng(1), 21)
    assert_near({"logits": mlx_model.logits(tokens)}, {"logits": torch_model.logits(tokens)})
    for batches in (rows(7), [family(np.random.default_rng(2))]):
        (loss, gradients), (expected, reference) = (m.loss_and_gradients(batches) for m in (mlx_model, torch_model))
        assert loss == pytest.approx(expected, rel=TOLERANCE)
        assert_near(gradients, reference)
        for batch in batches:
            (loss_sum, count), (expected_sum, expected_count) = (m.evaluate(batch) for m in (mlx_model, torch_model))
            assert count == expected_count
            assert loss_sum == pytest.approx(expected_sum, rel=TOLERANCE)


LLAMA3 = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LONG = {
    "long_factor": [1.5, 2.0, 3.0, 4.0],
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "original_max_position_embeddings": 20,
}


@needs_mlx
@pytest.mark.parametrize(
    ("architecture", "rotary"),
    [
        ("llama", {"rope_type": "default", "rope_theta": 5e5}),
        ("llama", {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}),
        ("llama", {"rope_type": "llama3", "rope_theta": 1e4, **LLAMA3}),
        ("phi3", {"rope_type": "longrope", "rope_theta": 1e4, **LONG}),
    ],
)
def test_rotary_embeddings_are_the_same_on_both_engines(tmp_path, architecture, rotary):
    changes = (
        {"max_position_embeddings": 80, "original_max_position_embeddings": 20} if rotary.get("long_factor") else {}
    )
    folder = save_tiny(tmp_path, architecture, rope_parameters=rotary, **changes)
    torch_model, mlx_model = (adapted(engine, folder) for engine in ("torch", "mlx"))
    for length in (15, 30):  # below and above what LongRoPE's short frequencies are for
        tokens = random_tokens(np.random.default_rng(1), length)
        assert_near({"logits": mlx_model.logits(tokens)}, {"logits": torch_model.logits(tokens)})


def trained(engine, folder, optimizer, options, kind="lora", learning_rate=3e-3, steps=20):
    """The adapter after 20 steps on 20 different batches, and what each step reported."""
    model = adapted(engine, folder, kind)
    model.prepare_training(OptimizerSpec(optimizer, options), gradient_checkpointing=False, seed=0)
    results = [model.step(rows(4, seed=step), learning_rate, step=step, max_gradient_norm=1.0) for step in range(steps)]
    return model, results


@needs_mlx
def test_twenty_optimizer_steps_give_the_same_adapter(tiny):
    torch_model, expected = trained("torch", tiny, "adamw", {"eps": 1e-4})
    mlx_model, found = trained("mlx", tiny, "adamw", {"eps": 1e-4})
    for mine, reference in zip(found, expected, strict=True):
        assert mine.tokens == reference.tokens
        assert mine.loss_sum == pytest.approx(reference.loss_sum, rel=1e-4)
        assert mine.gradient_norm == pytest.approx(reference.gradient_norm, rel=1e-3)
    # Adam divides a gradient by its own size, so that the float32 noise of entries with next to no gradient moves them
    # as far as others; 20 steps on it here. With eps 1e-4, above that noise, entries stay within a thousandth.
    assert_near(mlx_model.trainable(), torch_model.trainable(), 1e-3)


@needs_mlx
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("adam", {"weight_decay": 0.1, "betas": (0.8, 0.9), "eps": 1e-4}),
        ("sgd", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("adafactor", {"weight_decay": 0.1}),
        ("muon", {}),
    ],
)
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_every_optimizer_takes_the_same_steps_and_goes_on_on_the_other_engine(tiny_llama, optimizer, options, kind):
    torch_model, _ = trained("torch", tiny_llama, optimizer, options, kind, steps=6)
    mlx_model, _ = trained("mlx", tiny_llama, optimizer, options, kind, steps=6)
    assert_near(mlx_model.trainable(), torch_model.trainable(), 2e-3)
    moved = adapted("mlx", tiny_llama, kind)
    moved.prepare_training(OptimizerSpec(optimizer, options), gradient_checkpointing=False, seed=0)
    moved.load_trainable(torch_model.trainable())
    moved.load_optimizer_state(torch_model.optimizer_state())
    for model in (torch_model, moved):
        model.step(rows(4, seed=6), 3e-3, step=6, max_gradient_norm=1.0)
    # Beside Muon, DoRA's magnitudes go by AdamW with its eps of 1e-8, below the noise of their smallest gradients.
    assert_near(moved.trainable(), torch_model.trainable(), 2e-3 if (optimizer, kind) == ("muon", "dora") else 1e-4)


@needs_mlx
def test_greedy_text_of_a_batch_is_the_same_on_both_engines(tiny):
    rng = np.random.default_rng(3)
    prompts = [random_tokens(rng, n) for n in (5, 30, 1, 9, 8, 31)]
    torch_model, mlx_model = (adapted(engine, tiny) for engine in ("torch", "mlx"))
    expected = generated(torch_model, prompts)
    assert generated(mlx_model, prompts) == expected
    ends = frozenset({expected[1][4], expected[3][9]})  # so that sequences leave the batch before others
    assert generated(mlx_model, prompts, end_tokens=ends) == generated(torch_model, prompts, end_tokens=ends)


@needs_mlx
def test_sampled_text_is_the_same_on_both_engines(tiny_llama):
    prompts = [random_tokens(np.random.default_rng(4), n) for n in (5, 12)]
    warm = Sampling(temperature=1.0, top_p=0.9, top_k=40, repetition_penalty=1.1, seed=3)
    expected, found = (generated(adapted(e, tiny_llama), prompts, sampling=warm) for e in ("torch", "mlx"))
    assert found == expected


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_the_torch_engine_computes_what_peft_computes(tiny, kind):
    model = adapted("torch", tiny, kind)
    start = model.trainable()
    layers = sorted({name.split(".")[-3 if "magnitude" not in name else -2] for name in start})
    config = LoraConfig(r=4, lora_alpha=8, target_modules=layers, use_dora=kind == "dora")
    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32, attn_implementation="eager")
    peft = get_peft_model(plain, config)
    theirs = {
        name.removeprefix("base_model.model.").replace(".default", "").replace("vector.weight", "vector"): parameter
        for name, parameter in peft.named_parameters()
        if parameter.requires_grad
    }
    assert theirs.keys() == start.keys()
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(torch.from_numpy(start[name]))
    (sample,) = samples(1, seed=8)
    ids = torch.from_numpy(sample.tokens).long()
    logits = peft(input_ids=ids[None]).logits[0, :-1]
    loss = F.cross_entropy(logits[sample.trained[1:]], ids[1:][sample.trained[1:]])
    loss.backward()
    found, gradients = model.loss_and_gradients(pack([sample], tokens_per_row=64))
    assert found == pytest.approx(loss.item(), rel=TOLERANCE)
    assert_near(gradients, {name: parameter.grad.numpy() for name, parameter in theirs.items()})


@needs_mlx
@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "phi3"])
def test_the_mlx_engine_computes_what_mlx_lm_computes(tiny_folder, tmp_path, kind, architecture):
    """Architectures in which mlx_lm computes what transformers does; in others it leaves windows out."""
    folder = tiny_folder(architecture)
    model = adapted("mlx", folder, kind)
    files = find(str(folder))
    spec = resolve(files, kind=kind, keys=None, num_layers=-1, rank=4, scale=2.0, dropout=0.0)
    write_mlx_adapter(tmp_path, spec, model.trainable(), files=files)
    (sample,) = samples(1, seed=8)
    theirs, loss, gradients = mlx_lm_gradients(folder, tmp_path, sample)
    logits = model.logits(sample.tokens)
    assert_near({"logits": logits}, {"logits": theirs})
    found, ours = model.loss_and_gradients(pack([sample], tokens_per_row=64))
    assert found == pytest.approx(loss, rel=TOLERANCE)
    assert_near(ours, gradients)


def mlx_lm_gradients(folder, adapter, sample):
    """Logits, mean loss and gradients of mlx_lm's own model and layers, under the names of our tensors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resource.setrlimit", lambda *_: None)  # mlx_lm lowers the limit of open files for good
        from mlx_lm.tuner.utils import load_adapters
        from mlx_lm.utils import load_model
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten

    config = json.loads((folder / "config.json").read_text())
    model, _ = load_model(folder, model_config={"rope_theta": config["rope_parameters"]["rope_theta"]})
    model.freeze()
    model = load_adapters(model, str(adapter))
    tokens, trained_tokens = mx.array(sample.tokens)[None], mx.array(sample.trained[1:])

    def loss(model):
        losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])[0]
        return (losses * trained_tokens).sum() / trained_tokens.sum()

    value, found = nn.value_and_grad(model, loss)(model)
    parts = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
    gradients = {}
    for name, array in tree_flatten(found):
        path, _, part = name.rpartition(".")
        gradients[f"{path}.{parts[part]}"] = np.array(array).T
    assert math.isfinite(value.item())
    return np.array(model(tokens)[0]), value.item(), gradients
