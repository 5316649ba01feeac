"""Promises of generation on a small real model: the library's own text, streamed, batched, with an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from myna.errors import AdapterError, ModelError, PromptError, RecipeError
from myna.generation import Generation, LanguageModel, Sampling, load
from myna.models.adapters import initial_tensors, resolve, write_adapter
from myna.models.files import find

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "examples" / "stories260K"
STORY = "Once upon a time, there was a"
PROMPTS = ["Lily went", STORY, "The cat", "One day, a boy named Tim", "She said", "A dog", "Tom saw", "The sun"]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load(str(MODEL), dtype="float32")  # a fast bfloat16 would be taken, and ties broken otherwise


def test_greedy_text_is_that_of_transformers(model: LanguageModel) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    library = transformers.AutoModelForCausalLM.from_pretrained(MODEL)
    for prompt in PROMPTS[:3]:
        tokens = tokenizer(prompt, return_tensors="pt")
        expected = library.generate(**tokens, max_new_tokens=40, do_sample=False)[0, tokens["input_ids"].shape[1] :]
        answer = model.generate(prompt, max_tokens=40)
        assert answer.text.strip() == tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert answer.prompt_tokens == tokens["input_ids"].shape[1]


def test_pieces_join_to_the_answer(model: LanguageModel) -> None:
    pieces: list[str] = []
    answer = model.generate(STORY, max_tokens=30, on_text=pieces.append)
    assert len(pieces) > 5
    assert "".join(pieces) == answer.text
    assert (answer.generated_tokens, answer.stopped) == (30, "limit")
    assert answer.prompt_tokens_per_second > 0
    assert answer.generated_tokens_per_second > 0


def test_an_end_token_stops_the_answer_and_is_not_in_its_text(model: LanguageModel) -> None:
    whole = model.generate(STORY, max_tokens=30)
    tokens = model.builder.prompt([{"role": "user", "content": STORY}])
    events = list(model.model.generate([tokens], max_tokens=30, end_tokens=frozenset(), sampling=Sampling()))
    end = events[5].token
    stopping = LanguageModel(model.model, _EndsWith(model.builder, end))
    answer = stopping.generate(STORY, max_tokens=30)
    assert answer.stopped == "end"
    assert whole.text.startswith(answer.text)
    assert answer.generated_tokens == 1 + [event.token for event in events].index(end)
    assert answer.text == model.builder.decode([event.token for event in events[: answer.generated_tokens - 1]])


class _EndsWith:
    """The builder, with another end token."""

    def __init__(self, builder: object, end: int) -> None:
        self._builder = builder
        self.end_tokens = frozenset({end})

    def __getattr__(self, name: str) -> object:
        return getattr(self._builder, name)


def test_many_prompts_are_answered_as_each_alone(model: LanguageModel) -> None:
    prompts = [f"{prompt} {word}" for word in ("and", "with", "big") for prompt in PROMPTS]
    seen: list[tuple[int, Generation]] = []
    answers = model.generate_many(prompts, max_tokens=12, on_answer=lambda *pair: seen.append(pair))
    assert seen == list(enumerate(answers))
    for prompt, answer in list(zip(prompts, answers, strict=True))[::5]:
        assert answer.text == model.generate(prompt, max_tokens=12).text


def test_the_seed_determines_what_is_drawn(model: LanguageModel) -> None:
    def drawn(seed: int) -> list[str]:
        sampling = Sampling(temperature=1.0, top_p=0.95, seed=seed)
        return [answer.text for answer in model.generate_many([STORY] * 17, max_tokens=4, sampling=sampling)]

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert len(set(first)) > 5


def test_the_prompt_is_the_one_that_training_makes(model: LanguageModel) -> None:
    messages = [{"role": "user", "content": "A: "}]
    np.testing.assert_array_equal(model.prompt_tokens("A: "), model.builder.prompt(messages))
    np.testing.assert_array_equal(model.prompt_tokens(messages), model.builder.prompt(messages))
    np.testing.assert_array_equal(model.prompt_tokens("A: ", raw=True), model.builder.text_prompt("A: "))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; expected 0"),
        ({"top_p": 0.0}, "top_p is 0.0; expected above 0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": 1.5}, "min_p is 1.5; expected between 0 and 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_sampling_out_of_range_is_an_error(model: LanguageModel, settings: dict[str, float], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        model.generate(STORY, sampling=Sampling(**settings))


def test_nothing_to_answer_is_an_error(model: LanguageModel) -> None:
    with pytest.raises(PromptError, match="the prompt is empty"):
        model.generate("")
    with pytest.raises(RecipeError, match="max_tokens is 0; expected 1 or more"):
        model.generate(STORY, max_tokens=0)
    assert model.generate_many([]) == []


def test_an_adapter_answers_without_being_fused_and_can_be_switched_off(model: LanguageModel, tmp_path: Path) -> None:
    files = find(str(MODEL))
    spec = resolve(files, kind="lora", keys=None, num_layers=-1, rank=4, scale=20.0, dropout=0.0)
    random = np.random.default_rng(0)
    tensors = {
        name: tensor if "lora_A" in name else random.normal(0, 0.05, tensor.shape).astype(np.float32)
        for name, tensor in initial_tensors(spec, files, 0).items()
    }
    write_adapter(tmp_path, spec, tensors, files=files, note={})
    adapted = load(str(MODEL), adapter_path=tmp_path)
    plain = model.generate(STORY, max_tokens=20).text
    assert adapted.generate(STORY, max_tokens=20).text != plain
    adapted.model.use_adapter(False)
    assert adapted.generate(STORY, max_tokens=20).text == plain


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no-model"):
        load(str(tmp_path / "no-model"))
    with pytest.raises(AdapterError, match="no-adapter"):
        load(str(MODEL), adapter_path=tmp_path / "no-adapter")


def test_a_constraint_is_made_from_the_places_of_all_prompts(model: LanguageModel) -> None:
    asked: list[tuple[list[int], int]] = []

    class Anything:
        def allowed(self, sequences: Sequence[int]) -> np.ndarray:
            return np.full((len(sequences), 16), 2**32 - 1, np.uint32)

        def taken(self, sequences: Sequence[int], tokens: Sequence[int]) -> None:
            assert len(sequences) == len(tokens)

    def make(places: Sequence[int], max_tokens: int) -> Anything:
        asked.append((list(places), max_tokens))
        return Anything()

    held = model.generate_many(PROMPTS[:5], max_tokens=6, batch_size=2, constraint=make)
    assert asked == [([0, 1, 2, 3, 4], 6)]
    free = model.generate_many(PROMPTS[:5], max_tokens=6, batch_size=2)
    assert [answer.text for answer in held] == [answer.text for answer in free]
    assert model.generate(STORY, max_tokens=6, constraint=make).text == model.generate(STORY, max_tokens=6).text
    assert asked[-1] == ([0], 6)
