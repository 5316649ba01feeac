"""Promises of the sample store and of the table that shows a sample."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from myna.data.example import Example, Source
from myna.errors import PromptError
from myna.prompts.builder import PromptBuilder
from myna.prompts.show import show_sample
from myna.prompts.store import build_samples


@pytest.fixture
def builder(made_builder: Callable[[str, str], PromptBuilder]) -> PromptBuilder:
    return made_builder("sentencepiece-first", "plain")


def completion(line: int, prompt: str, answer: str) -> Example:
    messages = ({"role": "user", "content": prompt}, {"role": "assistant", "content": answer})
    return Example("completion", Source("data/train.jsonl", line), messages=messages)


def test_samples_come_back_as_the_builder_made_them(builder: PromptBuilder, tmp_path: Path) -> None:
    examples = [completion(line, f"Q: {line}?\nA: ", "数据 " * line) for line in range(1, 9)]
    examples.append(Example("text", Source("data/train.jsonl", 9), text="<s>The quick brown fox</s>" * 9))
    store = build_samples(examples, builder, max_tokens=60, directory=tmp_path / "samples")
    expected = [sample for example in examples for sample in builder.samples(example, max_tokens=60).samples]
    assert len(store) == len(expected) > len(examples)
    for sample, other in zip(store, expected, strict=True):
        assert sample.tokens.tolist() == other.tokens.tolist()
        assert sample.tokens.dtype == np.int32
        assert sample.trained.tolist() == other.trained.tolist()
        assert sample.source == other.source
    assert [len(sample) for sample in store[-2:]] == list(map(len, expected))[-2:]
    summary = store.summary
    assert (summary.examples, summary.samples, summary.skipped_long) == (9, len(expected), 0)
    assert summary.tokens == sum(map(len, expected))
    assert summary.trained_tokens == sum(int(sample.trained.sum()) for sample in expected)
    assert list(summary.notices.values()) == [1, 1, 1, 1]


def test_what_the_template_refuses_is_an_error_with_a_next_step_or_left_out_and_counted(
    made_builder: Callable[[str, str], PromptBuilder], tmp_path: Path
) -> None:
    strict = made_builder("byte-level", "strict")
    system = {"role": "system", "content": "s"}
    question, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    examples = [
        Example("chat", Source("data/train.jsonl", line), messages=messages)
        for line, messages in enumerate(
            [(question, answer), (system, question, answer), (question, question, answer), (question, answer)], start=1
        )
    ]
    with pytest.raises(PromptError) as caught:
        build_samples(examples, strict, max_tokens=99, directory=tmp_path / "a")
    said = str(caught.value)
    assert said.startswith("data/train.jsonl:2: the model's chat template refuses this conversation: System role not")
    assert "put the system message's text at the beginning of the first user message" in said
    assert said.endswith("to go on without such examples: --on-bad-example skip")
    store = build_samples(examples, strict, max_tokens=99, on_bad_example="skip", directory=tmp_path / "b")
    assert [sample.source.line for sample in store] == [1, 4]
    assert (store.summary.examples, store.summary.refused) == (4, 2)
    assert "2 of 4 examples can't be expressed" in store.summary.lines()[0]
    assert "the first: data/train.jsonl:2: " in store.summary.lines()[0]
    with pytest.raises(
        PromptError, match=r"2 of 2 examples can't be expressed .* nothing to learn; the first: .*:3: .*"
    ):
        build_samples(
            [examples[2], examples[1]], strict, max_tokens=99, on_bad_example="skip", directory=tmp_path / "c"
        )
    with pytest.raises(PromptError, match=r"must alternate.*join messages of one role that follow each other"):
        build_samples([examples[2]], strict, max_tokens=99, directory=tmp_path / "d")


def test_an_example_that_is_too_long_is_no_bad_example(builder: PromptBuilder, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="over the maximum of 50"):
        build_samples(
            [completion(1, "long " * 99, "a")],
            builder,
            max_tokens=50,
            long_examples="error",
            on_bad_example="skip",
            directory=tmp_path,
        )


def test_what_is_left_out_is_counted_with_what_to_set(builder: PromptBuilder, tmp_path: Path) -> None:
    examples = [completion(1, "short", "a"), completion(2, "long " * 99, "a"), completion(3, "longer " * 199, "a")]
    longest = len(builder.samples(examples[2], max_tokens=10**6).samples[0])
    store = build_samples(examples, builder, max_tokens=50, directory=tmp_path)
    assert [sample.source.line for sample in store] == [1]
    assert (store.summary.skipped_long, store.summary.longest) == (2, longest)
    (line,) = store.summary.lines()
    assert "2 of 3 examples are over 50 tokens and were left out" in line
    assert f"--max-seq-length {longest}" in line
    store = build_samples(examples, builder, max_tokens=50, long_examples="truncate-prompt", directory=tmp_path / "b")
    assert (len(store), store.summary.truncated, store.summary.skipped_long) == (3, 2, 0)
    assert "2 of 3 examples have a shortened question" in store.summary.lines()


def test_a_data_set_with_nothing_to_learn_is_an_error_that_says_why(builder: PromptBuilder, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"train\.jsonl: all 1 examples are over 20 tokens .*--max-seq-length"):
        build_samples([completion(1, "long " * 99, "a")], builder, max_tokens=20, directory=tmp_path)
    with pytest.raises(PromptError, match="no examples"):
        build_samples([], builder, max_tokens=20, directory=tmp_path)


def test_memory_does_not_grow_with_the_data(builder: PromptBuilder, tmp_path: Path) -> None:
    def examples(count: int) -> Iterator[Example]:
        return (completion(line, "Which of the students? " * 20, "SELECT 1") for line in range(count))

    build_samples(examples(2), builder, max_tokens=2000, directory=tmp_path / "warm")
    tracemalloc.start()
    store = build_samples(examples(300), builder, max_tokens=2000, directory=tmp_path / "all")
    assert sum(len(sample) for sample in store) == store.summary.tokens > 30_000
    assert tracemalloc.get_traced_memory()[1] < 100_000  # the files have more
    tracemalloc.stop()


def test_a_sample_is_shown_token_by_token_with_its_mask(builder: PromptBuilder) -> None:
    (sample,) = builder.samples(completion(1, "Q: </s> A: ", "SELECT"), max_tokens=99).samples
    rows = show_sample(sample, builder)
    assert [row.id for row in rows] == sample.tokens.tolist()
    assert [row.index for row in rows] == list(range(len(sample)))
    assert [row.text for row in rows if row.control] == ["<s>", "</s>"]
    assert "".join(row.text for row in rows if row.trained) == " SELECT</s>"
    assert "".join(row.text for row in rows if not row.trained) == "<s> Q: </s> A:"
