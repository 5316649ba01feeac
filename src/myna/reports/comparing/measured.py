"""What a measuring process is told and what it finds, as plain values that cross a pipe as JSON.

Knows no model and no process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from myna.data.example import Message


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a measuring process gets it; see `questions.Listed`."""

    asked: str
    prompt: str | Sequence[Message] | None


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure of one run, and how.

    run: its folder. data: folder with test.jsonl, None to leave the test out. keys, max_seq_length, mask_prompt,
    long_examples, on_bad_example: as in its recipe. wanted: test samples, None for all. database: its address, which
    may hold a password, for questions that are asked as `myna ask` asks.
    """

    run: str
    model: str
    data: str | None
    keys: Mapping[str, str]
    max_seq_length: int
    mask_prompt: bool | None
    long_examples: Literal["skip", "error", "truncate-prompt"]
    on_bad_example: Literal["error", "skip"]
    wanted: int | None
    questions: tuple[Asked, ...]
    max_tokens: int
    engine: Literal["auto", "torch", "mlx"]
    dtype: str
    device: str
    database: str | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Read back what `as_dict` gave and JSON carried."""
        return cls(**{**fields, "questions": tuple(Asked(**asked) for asked in fields["questions"])})


@dataclass(frozen=True, slots=True)
class TestLoss:
    """Loss of the kept adapter on the test set, and peak memory while it was computed.

    loss: mean per trained token (nats). tokens, examples: that were scored. skipped_long: examples left out.
    data_hash: of the test set. prompt_hash: of tokenizer and chat template. samples_hash: of the very tokens and masks
    that were scored; None where only the run's log tells of a test. kept: measured earlier, and read from the run
    folder.
    """

    loss: float
    perplexity: float | None
    tokens: int
    examples: int
    skipped_long: int
    data_hash: str
    prompt_hash: str
    samples_hash: str | None
    peak_memory_bytes: int | None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer, greedy. error: why there is none; empty when there is one."""

    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Generating:
    """How fast the answers came, one question at a time. None where nothing could be timed.

    prompt_tokens_per_second: over all prompts, to each one's first token. generated_tokens_per_second: after it.
    """

    prompt_tokens: int
    generated_tokens: int
    prompt_tokens_per_second: float | None
    generated_tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one run. missing: what could not be measured, in sentences."""

    test: TestLoss | None = None
    answers: tuple[GivenAnswer, ...] = ()
    generating: Generating | None = None
    missing: tuple[str, ...] = ()

    @classmethod
    def from_messages(cls, messages: Sequence[Mapping[str, Any]]) -> Self:
        """Put together what a process sent."""
        found = {name: value for message in messages for name, value in message.items()}
        return cls(
            test=TestLoss(**found["test"]) if "test" in found else None,
            answers=tuple(GivenAnswer(**answer) for answer in found.get("answers", ())),
            generating=Generating(**found["generating"]) if "generating" in found else None,
            missing=tuple(message["missing"] for message in messages if "missing" in message),
        )
