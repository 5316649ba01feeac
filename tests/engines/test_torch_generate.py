"""Generation from packed prompts and a ragged cache gives the library's own greedy text in any batch."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from myna.engines import choose
from myna.engines.base import Sampling
from myna.engines.choosing import sample
from myna.errors import PromptError
from myna.models.adapters import resolve
from myna.models.files import find
from tiny_models import TINY, random_tokens

NEVER = frozenset({10**6})


def collect(model, prompts, **settings):
    """Token lists per prompt and how each stopped."""
    settings = {"max_tokens": 20, "end_tokens": NEVER, "sampling": Sampling(), **settings}
    texts, stops = [[] for _ in prompts], [None] * len(prompts)
    for event in model.generate(prompts, **settings):
        texts[event.sequence].append(event.token)
        stops[event.sequence] = event.stopped
    return texts, stops


@pytest.fixture
def prompts():
    rng = np.random.default_rng(0)
    return [random_tokens(rng, n) for n in (5, 12, 1, 9)]


def test_greedy_text_equals_transformers_generate_token_for_token(tiny, prompts):
    model = choose("torch").load(find(str(tiny)), dtype="float32", device="cpu")
    texts, stops = collect(model, prompts)
    library = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32, attn_implementation="eager")
    for prompt, text in zip(prompts, texts, strict=True):
        ids = torch.from_numpy(prompt).long()[None]
        expected = library.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=20,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert text == expected[0, len(prompt) :].tolist()
    assert stops == ["limit"] * 4


def test_fully_trained_layers_generate_in_the_type_that_they_are_trained_in(tiny, prompts):
    files = find(str(tiny))
    spec = resolve(files, kind="full", keys=None, num_layers=1, rank=4, scale=2.0, dropout=0.0)
    model = choose("torch").load(files, adapter=spec, dtype="bfloat16", device="cpu")
    types = set()
    for module in model.model.modules():
        if isinstance(module, torch.nn.Linear):  # frozen ones are no such layers any more
            module.register_forward_hook(lambda _module, _arguments, output: types.add(output.dtype))
    texts, _ = collect(model, prompts)
    assert types == {torch.bfloat16}
    for prompt, text in zip(prompts, texts, strict=True):
        scores = model.logits(np.concatenate([prompt, np.array(text[:-1], np.int32)]))[len(prompt) - 1 :]
        behind = scores.max(axis=1) - scores[np.arange(len(text)), text]
        # bfloat16 keeps 8 bits: each of some 20 roundings in another order may move a logit by 0.4 %.
        assert behind.max() <= 0.08 * np.abs(scores).max()
    assert types == {torch.bfloat16}


@pytest.fixture
def alike():
    """Prompts of which some begin with the same 20 to 24 tokens, and one twice."""
    rng = np.random.default_rng(1)
    first, second = random_tokens(rng, 24), random_tokens(rng, 20)
    ends = [random_tokens(rng, n) for n in (3, 1, 7, 2, 5)]
    made = [np.concatenate(pair) for pair in ((first, ends[0]), (second, ends[1]), (first, ends[2]), (second, ends[3]))]
    return [*made, ends[4], made[0], np.concatenate((first[:17], ends[4]))]


def test_prompts_that_begin_alike_are_answered_as_each_alone(tiny, alike):
    model = choose("torch").load(find(str(tiny)), dtype="float32", device="cpu")
    texts, _ = collect(model, alike)
    assert texts == [collect(model, [prompt])[0][0] for prompt in alike]


@pytest.mark.parametrize("together", [1, 2, 3, 50])
def test_prompts_that_wait_take_the_places_of_sequences_that_end(tiny_llama, alike, together):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    free, _ = collect(model, alike)
    settings = {"max_tokens": 12, "end_tokens": frozenset({free[1][3], free[2][9]})}
    whole = collect(model, alike, **settings)
    assert len({len(text) for text in whole[0]}) > 2  # they end at different steps
    assert collect(model, alike, together=together, **settings) == whole
    assert set(whole[1]) == {"end", "limit"}


def test_an_end_token_stops_its_own_sequence_only(tiny_llama, prompts):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    free, _ = collect(model, prompts)
    end = free[1][3]
    texts, stops = collect(model, prompts, end_tokens=frozenset({end}))
    for text, whole, stop in zip(texts, free, stops, strict=True):
        expected = whole[: whole.index(end) + 1] if end in whole else whole
        assert text == expected
        assert stop == ("end" if end in whole else "limit")
    assert stops[1] == "end"


def test_a_sampled_sequence_does_not_depend_on_its_neighbours(tiny_llama, prompts):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    warm = Sampling(temperature=1.0, top_p=0.9, top_k=40, min_p=0.01, seed=3)
    together, _ = collect(model, prompts, sampling=warm)
    alone, _ = collect(model, prompts[:1], sampling=warm)
    again, _ = collect(model, prompts, sampling=warm)
    other, _ = collect(model, prompts, sampling=Sampling(temperature=1.0, seed=4))
    assert together[0] == alone[0]
    assert together == again
    assert together != other


def test_a_cache_that_grows_many_times_goes_on_as_before(tiny_llama, prompts):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    long, _ = collect(model, prompts, max_tokens=150)
    short, _ = collect(model, prompts, max_tokens=7)
    assert [text[:7] for text in long] == short
    with torch.no_grad():
        whole = np.concatenate([prompts[0], np.array(long[0][:-1], np.int32)])
    assert model.logits(whole)[len(prompts[0]) - 1 :].argmax(axis=1).tolist() == long[0]


class Parity:
    """Allows even tokens only, odd ones in sequence 2; keeps what it was asked and told."""

    def __init__(self, sequences):
        self.log = [[] for _ in range(sequences)]
        self.calls = []

    def allowed(self, sequences):
        self.calls.append("allowed")
        bits = np.zeros((len(sequences), (TINY["vocab_size"] + 31) // 32 * 32), np.uint8)
        for row, sequence in enumerate(sequences):
            bits[row, sequence == 2 :: 2] = 1
        return np.packbits(bits, axis=1, bitorder="little").view("<u4")

    def taken(self, sequences, tokens):
        self.calls.append("taken")
        for sequence, token in zip(sequences, tokens, strict=True):
            self.log[sequence].append(token)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(temperature=1.0, top_p=0.9), Sampling(repetition_penalty=1.5)],
    ids=["greedy", "sampled", "penalty"],
)
def test_a_constraint_decides_which_tokens_may_come(tiny_llama, prompts, sampling):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    parity = Parity(len(prompts))
    texts, _ = collect(model, prompts, constraint=parity, sampling=sampling)
    assert texts == parity.log
    assert [{token % 2 for token in text} for text in texts] == [{0}, {0}, {1}, {0}]
    assert parity.calls == ["allowed", "taken"] * 20


def test_a_constrained_step_takes_the_likeliest_allowed_token(tiny_llama, prompts):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    texts, _ = collect(model, prompts, constraint=Parity(len(prompts)))
    for sequence, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        scores = model.logits(np.concatenate([prompt, np.array(text[:-1], np.int32)]))[len(prompt) - 1 :]
        scores[:, sequence != 2 :: 2] = -np.inf
        assert text == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize("words", [1, 4])
def test_masks_may_be_narrower_or_wider_than_the_vocabulary(tiny_llama, prompts, words):
    class Whole:
        def allowed(self, sequences):
            return np.full((len(sequences), words), 2**32 - 1, np.uint32)

        def taken(self, sequences, tokens):
            pass

    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    texts, _ = collect(model, prompts, constraint=Whole(), sampling=Sampling(temperature=2.0))
    free, _ = collect(model, prompts, sampling=Sampling(temperature=2.0))
    assert all(token < min(32 * words, TINY["vocab_size"]) for text in texts for token in text)
    assert (texts == free) == (words == 4)


def test_repetition_penalty_equals_transformers(tiny_llama, prompts):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    texts, _ = collect(model, prompts[:2], sampling=Sampling(repetition_penalty=1.5))
    library = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    for prompt, text in zip(prompts, texts, strict=False):
        ids = torch.from_numpy(prompt).long()[None]
        expected = library.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20, eos_token_id=None,
            pad_token_id=0, repetition_penalty=1.5,
        )  # fmt: skip
        assert text == expected[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=1.0, top_k=2), {3, 1}),
        (Sampling(temperature=1.0, top_p=0.5), {3}),
        (Sampling(temperature=1.0, top_p=0.7), {3, 1}),
        (Sampling(temperature=1.0, min_p=0.3), {3, 1}),
        (Sampling(temperature=1.0), {0, 1, 2, 3}),
        (Sampling(temperature=0.0, top_k=3), {3}),
    ],
)
def test_filters_leave_exactly_the_tokens_they_promise(sampling, possible):
    scores = np.log(np.array([0.05, 0.25, 0.10, 0.60]))
    random = np.random.default_rng(0)
    assert {sample(scores, sampling, random) for _ in range(300)} == possible


def test_sampling_follows_the_probabilities():
    scores = np.log(np.array([0.1, 0.2, 0.7]))
    random = np.random.default_rng(0)
    counts = np.bincount([sample(scores, Sampling(temperature=1.0), random) for _ in range(4000)], minlength=3)
    # Four standard deviations of a binomial count of 4,000 draws are below 0.03 of them.
    assert np.abs(counts / 4000 - [0.1, 0.2, 0.7]).max() < 0.03


def test_an_empty_prompt_is_refused(tiny_llama):
    model = choose("torch").load(find(str(tiny_llama)), dtype="float32", device="cpu")
    with pytest.raises(PromptError, match="no tokens"):
        collect(model, [np.zeros(0, np.int32)])
