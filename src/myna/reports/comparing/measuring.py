"""The process that measures one run: `python -m myna.reports.comparing.measuring`.

One `Order` comes in on standard input as a line of JSON; lines of JSON go out as things are known. It ends when its
input does, so it never outlives the caller. A process of its own, because the peak memory of a process can't be set
back: what it reports is this run's alone.

A test loss depends on nothing but what its key names, so it is kept in the run folder, `measured/<key>.json`, with the
peak memory of then. Speed depends on the hour and is measured every time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from myna.data.folder import Examples, Keys, open_split
from myna.engines import choose
from myna.engines.base import Engine
from myna.errors import DataError, MynaError, PromptError, ResourceError, RunError
from myna.evaluation import fixed_selection
from myna.evaluation.testing import score_samples
from myna.foreign_text import make_logs_visible
from myna.generation import LanguageModel, load
from myna.generation.language_model import Generation
from myna.models.adapters import model_note, noted_day, read_note
from myna.models.files import content_hash, find
from myna.prompts.builder import PromptBuilder
from myna.prompts.store import SampleStore, build_samples
from myna.reports.comparing.measured import Asked, Generating, GivenAnswer, Order, TestLoss
from myna.runs import RunFolder, read_file, refuse_links, write_file, wrong_field

Tell = Callable[[dict[str, Any]], None]

KEPT = "measured"
"""The folder in a run folder with what was measured of it."""
_FORMAT = 1
"""Counts up when what is measured changes its meaning."""
_LIBRARIES = ("torch", "transformers", "mlx", "mlx-lm")


def main() -> None:
    """Measure what comes in on standard input."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no measurement
    make_logs_visible()
    order = Order.from_dict(json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_the_caller, daemon=True).start()

    def tell(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        channel.flush()

    with suppress(BrokenPipeError):
        try:
            measure(order, tell)
        except MynaError as error:
            tell({"missing": f"not measured: {error}"})
        except MemoryError:
            tell({"missing": "not measured: memory ran out"})
        tell({"done": True})


def _end_with_the_caller() -> None:
    while os.read(0, 4096):  # not through Python's buffer, whose lock would be missed when the program ends
        pass
    os._exit(1)


def measure(order: Order, tell: Tell) -> None:
    """Measure what `order` says and `tell` it as it is known.

    Raises `ModelError`, `AdapterError`, `PromptError`, `MissingDependency` and `ResourceError` where nothing can be
    measured (any more); a test or an answer that is not to be had is told as missing.
    """
    subject = _Subject(order)
    if order.data is not None:
        try:
            tell({"test": asdict(_test(subject, Path(order.data), tell))})
        except (DataError, PromptError) as error:
            tell({"missing": f"no test loss: {error}"})
    if order.questions:
        _answer(subject, tell)


class _Subject:
    """A run's model, loaded when it is first needed."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.files = find(order.model)
        note = {**model_note(self.files), **read_note(Path(order.run))}
        self.builder = PromptBuilder.load(self.files.folder, day=noted_day(note))

    @cached_property
    def engine(self) -> Engine:
        return choose(self.order.engine)

    @cached_property
    def model(self) -> LanguageModel:
        order = self.order
        return load(order.model, adapter_path=order.run, engine=order.engine, dtype=order.dtype, device=order.device)


def _test(subject: _Subject, data: Path, tell: Tell) -> TestLoss:
    order = subject.order
    examples = open_split(data, "test", keys=Keys(**order.keys), on_bad_example=order.on_bad_example)
    with tempfile.TemporaryDirectory(prefix="myna-compare-") as directory:
        store = build_samples(
            examples,
            subject.builder,
            max_tokens=order.max_seq_length,
            mask_prompt=order.mask_prompt,
            long_examples=order.long_examples,
            on_bad_example=order.on_bad_example,
            directory=Path(directory),
        )
        samples_hash = _samples_hash(store, order.wanted)
        file = _kept_file(subject, samples_hash)
        found = _kept(file)
        if found is None:
            tell({"stage": "testing"})
            found = _scored(subject, examples, store, samples_hash)
            # a run folder that can't be written to is measured anew each time, as is one where that would go elsewhere
            with suppress(MynaError, OSError):
                file.parent.mkdir(exist_ok=True)
                refuse_links(Path(order.run), read_only=("data",))
                write_file(file, json.dumps({"format": _FORMAT, "test": asdict(found)}, indent=2))
        return found


def _scored(subject: _Subject, examples: Examples, store: SampleStore, samples_hash: str) -> TestLoss:
    score = score_samples(subject.model.model, store, wanted=subject.order.wanted)
    return TestLoss(
        loss=score.loss,
        perplexity=score.perplexity if math.isfinite(score.perplexity) else None,
        tokens=score.tokens,
        examples=score.examples,
        skipped_long=score.skipped_long,
        data_hash=examples.content_hash,
        prompt_hash=subject.builder.content_hash,
        samples_hash=samples_hash,
        peak_memory_bytes=subject.engine.peak_memory_bytes(),
    )


def _samples_hash(store: SampleStore, wanted: int | None) -> str:
    """Return a hash of the tokens and masks that are scored: losses over the same ones can be compared."""
    digest = hashlib.sha256()
    for index in fixed_selection(len(store), wanted, seed=0):
        sample = store[index]
        digest.update(len(sample).to_bytes(8, "little"))
        digest.update(sample.tokens.tobytes())
        digest.update(sample.trained.tobytes())
    return digest.hexdigest()


def _kept_file(subject: _Subject, samples_hash: str) -> Path:
    """Return where the measurement is kept; the name is made of all that it depends on."""
    order = subject.order
    run = RunFolder(Path(order.run))
    adapter = hashlib.sha256()
    for file in sorted(file for file in run.adapter_path.glob("*") if file.is_file()):
        adapter.update(file.name.encode())
        with file.open("rb") as opened:
            adapter.update(hashlib.file_digest(opened, "sha256").digest())
    key = {
        "format": _FORMAT,
        "base": content_hash(subject.files),
        "adapter": adapter.hexdigest(),
        "samples": samples_hash,
        "machine": [subject.engine.name, asdict(subject.engine.device(order.device)), order.dtype, order.device],
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
    }
    return run.path / KEPT / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.json"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _kept(file: Path) -> TestLoss | None:
    """Return what was measured before; None when nothing was, or the file does not say so."""
    try:
        found = json.loads(read_file(file))["test"]
        return replace(TestLoss(**found), kept=True) if wrong_field(TestLoss, found) is None else None
    except (OSError, RunError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _answer(subject: _Subject, tell: Tell) -> None:
    """Have the model answer one question after the other, and tell the answers and how fast they came."""
    model, order = subject.model, subject.order
    # the first answer of a process pays for what is made once
    model.generate("Hello", raw=True, max_tokens=2)
    answers: list[GivenAnswer] = []
    timed: list[Generation] = []
    with ExitStack() as opened:
        prompt_of = _asking(model, order, opened)
        for number, question in enumerate(order.questions, start=1):
            tell({"stage": "answering", "number": number})
            try:
                prompt, raw = prompt_of(question)
                answer = model.generate(prompt, max_tokens=order.max_tokens, raw=raw)
            except (PromptError, ResourceError) as error:
                answers.append(GivenAnswer("", str(error)))
                continue
            answers.append(GivenAnswer(answer.text))
            timed.append(answer)
    tell({"answers": [asdict(answer) for answer in answers]})
    if timed:
        tell({"generating": asdict(_speed(timed))})


def _asking(model: LanguageModel, order: Order, opened: ExitStack) -> Callable[[Asked], tuple[Any, bool]]:
    """Return what gives the prompt of a question, and whether it is text to go on with."""
    asker = None
    if order.database is not None and any(question.prompt is None for question in order.questions):
        from myna.databases import Database
        from myna.text2sql.asking import Asker, ModelAnswerer

        logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it tells of odd SQL, which is judged later
        database = opened.enter_context(Database.open(order.database))
        asker = opened.enter_context(Asker(database, ModelAnswerer(model), constrain="off", repairs=0))

    def prompt_of(question: Asked) -> tuple[Any, bool]:
        if question.prompt is not None:
            return question.prompt, isinstance(question.prompt, str)
        return (question.asked if asker is None else asker.brief(question.asked).messages), False

    return prompt_of


def _speed(answers: list[Generation]) -> Generating:
    prompts, later = (list(each) for each in zip(*map(_seconds, answers), strict=True))
    prompt_tokens = sum(answer.prompt_tokens for answer in answers)
    generated = sum(answer.generated_tokens for answer in answers)
    return Generating(
        prompt_tokens,
        generated,
        prompt_tokens / sum(prompts) if sum(prompts) else None,
        # the first token of an answer belongs to its prompt's time
        (generated - len(answers)) / sum(later) if sum(later) else None,
    )


def _seconds(answer: Generation) -> tuple[float, float]:
    """Return the time to an answer's first token, and from there on."""
    later = answer.generated_tokens - 1
    prompt_rate, rate = answer.prompt_tokens_per_second, answer.generated_tokens_per_second
    return answer.prompt_tokens / prompt_rate if prompt_rate else 0.0, later / rate if later and rate else 0.0


if __name__ == "__main__":
    main()
