"""A model's answers to questions, part by part, through the one prompt builder.

Parts are cut from the list of questions the same way every time, so that a scoring that goes on where it was asks the
model what an uninterrupted one would have. Knows no SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from myna.generation import ConstraintFactory, Generation, LanguageModel, load
from myna.models.adapters import model_note, noted_day, read_adapter, read_note
from myna.models.files import content_hash, find
from myna.prompts.builder import PromptBuilder
from myna.text2sql.constraint import Constrainer
from myna.text2sql.scoring.holding import Holding
from myna.text2sql.scoring.journal import Journal
from myna.text2sql.scoring.questions import Question, Questions

_BATCHES = 8
"""Batches in a part: while few questions of the one are still being answered, those of the next begin."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Which model answers, and how. Greedy, so that the same model gives the same answers.

    constrain: what answers are held to (`holding.py`).
    """

    model: str
    adapter_path: Path | None = None
    max_tokens: int = 256
    batch_size: int = 16
    engine: Literal["auto", "torch", "mlx"] = "auto"
    dtype: str = "auto"
    device: str = "auto"
    constrain: Literal["off", "schema", "content"] = "off"

    def key(self) -> dict[str, Any]:
        """Return all that determines the answers, by content.

        Raises `ModelError`, `AdapterError` and `PromptError` when model, adapter or tokenizer can't be read.
        """
        files = find(self.model)
        note = model_note(files)
        if self.adapter_path is not None:
            note = {**note, **read_note(self.adapter_path.expanduser())}
        builder = PromptBuilder.load(files.folder, day=noted_day(note))
        base = {"model": content_hash(files), "prompt": builder.content_hash}
        adapter = None
        if self.adapter_path is not None:
            spec, tensors = read_adapter(self.adapter_path.expanduser(), files)
            digest = hashlib.sha256(repr(spec).encode())
            for name, tensor in sorted(tensors.items()):
                digest.update(name.encode())
                digest.update(tensor.tobytes())
            adapter = digest.hexdigest()
        settings = {"max_tokens": self.max_tokens, "batch_size": self.batch_size, "constrain": self.constrain}
        machine = {"engine": self.engine, "dtype": self.dtype, "device": self.device}
        return {**base, "adapter": adapter, **settings, **machine}


def answer_questions(asked: Questions, answering: Answering, journal: Journal, told: Callable[[int], None]) -> None:
    """Have the model answer all questions that `journal` has no answer to; `told` hears how many are answered.

    Raises `ModelError`, `AdapterError`, `PromptError`, `MissingDependency`, `ResourceError` and, where answers are
    constrained, `DataError` and `DatabaseError`.
    """
    questions = asked.questions
    parts = [part for part in _parts(questions, answering.batch_size) if not journal.answers.keys() >= set(part)]
    if not parts:
        return
    model = load(
        answering.model,
        adapter_path=answering.adapter_path,
        engine=answering.engine,
        dtype=answering.dtype,
        device=answering.device,
    )
    with ExitStack() as opened:
        hold = _holder(model, asked, answering, opened)
        for part in parts:

            def keep(place: int, answer: Generation, part: Sequence[int] = part) -> None:
                if part[place] not in journal.answers:
                    journal.answer(part[place], answer.text)
                    told(len(journal.answers))

            prompts = [questions[index].prompt for index in part]
            model.generate_many(
                prompts,
                max_tokens=answering.max_tokens,
                raw=isinstance(prompts[0], str),
                batch_size=answering.batch_size,
                constraint=hold([questions[index] for index in part]),
                on_answer=keep,
            )


def _holder(
    model: LanguageModel, asked: Questions, answering: Answering, opened: ExitStack
) -> Callable[[Sequence[Question]], ConstraintFactory | None]:
    """Return what gives the constraint of a part; what it opens is closed with `opened`."""
    if answering.constrain == "off":
        return lambda _: None
    constrainer = Constrainer(model.builder)
    holding = opened.enter_context(Holding(asked.places, answering.constrain))
    return lambda part: constrainer.hold([holding.grammar(question) for question in part])


def _parts(questions: Sequence[Question], batch_size: int) -> Iterator[list[int]]:
    """Yield the places of questions that the model is given together: texts to go on with apart from conversations."""
    size = batch_size * _BATCHES
    for is_text in (True, False):
        places = [index for index, question in enumerate(questions) if isinstance(question.prompt, str) == is_text]
        yield from (places[start : start + size] for start in range(0, len(places), size))
