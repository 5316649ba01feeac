"""Training and decoding on packed weights, held to the plain model of exactly the same weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.batching.rows import pack as pack_rows
from myna.data.example import Source
from myna.engines.base import OptimizerSpec, Sampling
from myna.engines.torch import TorchEngine, decoding
from myna.engines.torch.quantization import PackedWeight, packed_product
from myna.errors import ModelError
from myna.models.adapters import initial_tensors, resolve
from myna.models.files import find
from myna.models.quantization import BITS, GROUP_SIZES, Packing, dequantize, quantize
from myna.prompts.sample import Sample
from packed_models import save_packed, save_unpacked
from tiny_models import ARCHITECTURES, random_tokens

PACKINGS = st.builds(Packing, st.sampled_from(BITS), st.sampled_from(GROUP_SIZES))

needs_int4 = pytest.mark.skipif(not decoding.works_on_cpu(), reason="torch has no fast packed int4 product here")


@pytest.fixture(scope="session", params=ARCHITECTURES)
def pair(request, tmp_path_factory) -> tuple[Path, Path]:
    """A packed tiny model of each architecture, and the plain one of the same weights."""
    folder = tmp_path_factory.mktemp(request.param)
    packed = save_packed(folder, request.param)
    return packed, save_unpacked(packed, folder / "unpacked")


@pytest.fixture(scope="session")
def packed_llama(tmp_path_factory) -> Path:
    return save_packed(tmp_path_factory.mktemp("llama"), "llama", vocab_size=112)


def rows(count, seed=0):
    """Random samples whose first half is a prompt, in short rows."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(count):
        tokens = random_tokens(rng, int(rng.integers(6, 20)))
        samples.append(Sample(tokens, np.arange(len(tokens)) >= len(tokens) // 2, Source("train.jsonl", i + 1)))
    return pack_rows(samples, tokens_per_row=64)


def loaded(folder, kind="lora", dtype="float32", dropout=0.0):
    """A model with an adapter away from zero."""
    files = find(str(folder))
    spec = resolve(files, kind=kind, keys=None, num_layers=-1, rank=4, scale=2.0, dropout=dropout)
    model = TorchEngine().load(files, adapter=spec, dtype=dtype, device="cpu")
    rng = np.random.default_rng(0)
    start = initial_tensors(spec, files, 0)
    model.load_trainable({n: t + 0.05 * rng.standard_normal(t.shape).astype("f") for n, t in start.items()})
    return model


def packed_weights(model):
    return [module for module in model.model.modules() if isinstance(module, PackedWeight)]


def weight(packing, out=48, seed=0, dtype=torch.float32, may_expand=False):
    """A random packed weight `[out, 256]`."""
    parts = quantize(np.random.default_rng(seed).normal(size=(out, 256)).astype(np.float32), packing)
    words, scales, biases = (torch.from_numpy(part) for part in parts)
    return PackedWeight(words.view(torch.int32), scales.to(dtype), biases.to(dtype), packing, may_expand=may_expand)


@settings(max_examples=40, deadline=None)
@given(PACKINGS, st.integers(0, 2**32))
def test_weights_are_unpacked_as_numpy_unpacks_them(packing, seed):
    w = weight(packing, seed=seed)
    parts = (w.words.numpy().view(np.uint32), w.scales.numpy(), w.biases.numpy())
    expected = torch.from_numpy(dequantize(*parts, packing))
    assert torch.equal(w.rows(slice(None), torch.float32), expected)
    which = torch.tensor([5, 0, 5])
    assert torch.equal(w.rows(which, torch.float32), expected[which])
    assert w.shape == tuple(expected.shape)


@settings(max_examples=40, deadline=None)
@given(PACKINGS, st.sampled_from([(3,), (2, 5), (70,)]), st.booleans())
def test_the_product_and_its_gradient_are_the_plain_ones(packing, shape, small_pieces):
    w = weight(packing)
    plain = w.rows(slice(None), torch.float32).double()
    x = torch.randn(*shape, 256, generator=torch.Generator().manual_seed(0))
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        if small_pieces:
            patch.setattr("myna.engines.torch.quantization._PIECE_ELEMENTS", {"cpu": 7 * 256})
        y = packed_product(ours, w)
        y.square().sum().backward()
    expected = theirs @ plain.T
    expected.square().sum().backward()
    # float32 against float64 over rows of 256 numbers
    assert torch.allclose(y.double(), expected, rtol=1e-5, atol=1e-4)
    assert torch.allclose(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-5 * float(theirs.grad.abs().max()))


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_gradients_on_packed_weights_are_those_of_the_unpacked_model(pair, kind):
    packed, unpacked = pair
    results = [loaded(folder, kind).loss_and_gradients(rows(5)) for folder in (packed, unpacked)]
    (loss, gradients), (expected_loss, expected) = results
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        # the same numbers multiplied in other pieces: float32's rounding, relative to the tensor's largest
        assert np.abs(gradients[name] - gradient).max() <= 1e-5 * np.abs(gradient).max(), name


def test_logits_losses_and_greedy_answers_are_those_of_the_unpacked_model(pair):
    packed, unpacked = (loaded(folder) for folder in pair)
    tokens = random_tokens(np.random.default_rng(1), 30)
    expected = unpacked.logits(tokens)
    assert np.abs(packed.logits(tokens) - expected).max() <= 1e-5 * np.abs(expected).max()
    for row in rows(5):
        assert packed.evaluate(row) == pytest.approx(unpacked.evaluate(row), rel=1e-6)
    prompts = [tokens[:5], tokens[5:17]]
    asked = {"max_tokens": 8, "end_tokens": frozenset({2}), "sampling": Sampling()}
    assert list(packed.generate(prompts, **asked)) == list(unpacked.generate(prompts, **asked))


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_an_adapter_is_trained_and_the_packed_weights_stay_as_they_were(packed_llama, kind):
    model = loaded(packed_llama, kind, dropout=0.1)
    before = [w.words.clone() for w in packed_weights(model)]
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=True, seed=0)
    batches = rows(6)
    losses = [model.step(batches, 1e-2, step=k, max_gradient_norm=1.0) for k in range(15)]
    assert losses[-1].loss_sum < 0.7 * losses[0].loss_sum
    assert all(torch.equal(a, w.words) for a, w in zip(before, packed_weights(model), strict=True))


def test_nothing_unpacked_is_kept_for_the_backward_pass_or_after_it(packed_llama):
    model = loaded(packed_llama)
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=False, seed=0)
    shapes = {tuple(w.shape) for w in packed_weights(model)} | {tuple(w.shape)[::-1] for w in packed_weights(model)}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tuple(tensor.shape)) or tensor, lambda t: t
    ):
        model.step(rows(3), 1e-3, step=0, max_gradient_norm=None)
    assert kept
    assert not shapes & set(kept)
    list(model.generate([random_tokens(np.random.default_rng(0), 4)], max_tokens=3, end_tokens=frozenset(),
                        sampling=Sampling()))  # fmt: skip
    assert all(w._decoding is None for w in packed_weights(model)), "an unpacked copy in float32"


@needs_int4
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("group_size", GROUP_SIZES)
def test_the_packed_int4_product_is_the_plain_one_in_every_width(bits, group_size):
    w = weight(Packing(bits, group_size), out=2048 + 48, dtype=torch.bfloat16)
    product = decoding.product_for(w, torch.bfloat16)
    assert isinstance(product, decoding.PackedInt4)
    x = torch.randn(3, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = x.double() @ w.rows(slice(None), torch.float32).double().T
    plain = x @ w.rows(slice(None), torch.bfloat16).T

    def error(y):
        return float((y.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())

    # both round to bfloat16's 8 bits: the weights, or scale and zero; and the result (two of them above four bits)
    assert error(product(x)) < 0.006
    assert error(plain) < 0.006


@needs_int4
def test_the_packed_product_is_made_for_decoding_and_forgotten_for_training(packed_llama):
    model = loaded(packed_llama, dtype="bfloat16")
    prompt = random_tokens(np.random.default_rng(0), 5)
    events = list(model.generate([prompt], max_tokens=3, end_tokens=frozenset(), sampling=Sampling()))
    assert len(events) == 3
    assert any(isinstance(w._decoding, decoding.PackedInt4) for w in packed_weights(model))
    model.prepare_training(OptimizerSpec("adam"), gradient_checkpointing=False, seed=0)
    model.step(rows(2), 1e-3, step=0, max_gradient_norm=None)
    assert all(w._decoding is None for w in packed_weights(model))


def test_an_unpacked_copy_is_kept_only_where_it_may_be():
    x = torch.randn(2, 256)
    with torch.no_grad():
        for may_expand, kind in ((True, decoding.Expanded), (False, type(None))):
            w = weight(Packing(4, 64), may_expand=may_expand)
            y = w.product(x)
            assert isinstance(w._decoding, kind)
            assert torch.allclose(y, x @ w.rows(slice(None), torch.float32).T, rtol=1e-5, atol=1e-4)


def test_packed_weights_of_another_shape_than_config_says_are_refused(packed_llama, tmp_path):
    import json
    import shutil

    folder = shutil.copytree(packed_llama, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(ModelError, match=r"config\.json: intermediate_size is 64, but there are 96 rows for it"):
        TorchEngine().load(find(str(folder)), device="cpu")
