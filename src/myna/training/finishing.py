"""What frames the loop: sample answers before it; sample answers, the test and the result after it.

In: a `Loop` before its first step, or after its last. Out: events and a `TrainResult`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.evaluation import Score
from myna.evaluation.testing import score_samples
from myna.models.adapters import read_adapter
from myna.prompts.store import build_samples
from myna.training.conversations import answers
from myna.training.events import Finished, Notice, Tested
from myna.training.loop import Loop
from myna.training.progress import Best


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished run has come to.

    adapter: folder of the kept adapter. best: None without validation data. tokens_per_second: all tokens
    over the time spent in iterations, which is `seconds`. test: when the recipe asks for it.
    """

    run: Path
    adapter: Path
    iterations: int
    best: Best | None
    stopped_early: bool
    tokens_per_second: float
    peak_memory_bytes: int
    seconds: float
    test: Score | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        best = None
        if self.best is not None:
            best = {"iteration": self.best.iteration, "valid_loss": self.best.valid_loss}
        return {
            "run": str(self.run),
            "adapter": str(self.adapter),
            "iterations": self.iterations,
            "best": best,
            "stopped_early": self.stopped_early,
            "tokens_per_second": self.tokens_per_second,
            "peak_memory_bytes": self.peak_memory_bytes,
            "seconds": self.seconds,
            "test": self.test.as_dict() if self.test is not None else None,
        }


def sample(loop: Loop) -> None:
    """Let the model answer a few fixed prompts as it is now."""
    for answer in answers(loop.prepared, loop.progress.kept):
        loop.tell(answer)


def finish(loop: Loop) -> TrainResult:
    """Show and test the kept adapter, and close the run's log.

    Raises `Interrupted` when the user asks to stop: a resumed run comes back here.
    """
    progress, prepared, run = loop.progress, loop.prepared, loop.run
    if progress.kept != progress.step:
        prepared.model.load_trainable(read_adapter(run.adapter_path, prepared.files)[1])
    sample(loop)
    score = _test(loop) if prepared.recipe.test else None
    if loop.interruption.requested:
        raise loop.interrupted()
    tokens_per_second = progress.tokens / max(progress.seconds, 1e-9)
    peak = prepared.engine.peak_memory_bytes()
    best = progress.best
    before = progress.untrained_loss
    if best is not None and before is not None and best.valid_loss >= before:
        text = (
            f"The validation loss never fell below what it was before training ({before:.3f}): this training "
            "made it worse. Lower --learning-rate, or look at the data with myna data show."
        )
        loop.tell(Notice(progress.step, text))
    loop.tell(
        Finished(
            iteration=progress.step,
            best_iteration=progress.kept,
            best_valid_loss=best.valid_loss if best is not None else None,
            stopped_early=loop.stopped_early(),
            trained_tokens=progress.trained_tokens,
            tokens_per_second=tokens_per_second,
            peak_memory_bytes=peak,
            seconds=progress.seconds,
        )
    )
    loop.log.flush()
    return TrainResult(
        run=run.path,
        adapter=run.adapter_path,
        iterations=progress.step,
        best=best,
        stopped_early=loop.stopped_early(),
        tokens_per_second=tokens_per_second,
        peak_memory_bytes=peak,
        seconds=progress.seconds,
        test=score,
    )


def _test(loop: Loop) -> Score:
    prepared, recipe = loop.prepared, loop.prepared.recipe
    examples = prepared.folder.test
    assert examples is not None
    store = build_samples(
        examples,
        prepared.builder,
        max_tokens=recipe.max_seq_length,
        mask_prompt=recipe.mask_prompt,
        long_examples=recipe.long_examples,
        on_bad_example=recipe.on_bad_example,
        directory=loop.run.cache_path / "test",
    )
    wanted = None if recipe.test_batches == -1 else recipe.test_batches * recipe.batch_size
    score = score_samples(
        prepared.model,
        store,
        wanted=wanted,
        name=str(loop.run.adapter_path),
    )
    finite = score.perplexity if math.isfinite(score.perplexity) else None
    loop.tell(Tested(loop.progress.kept, score.loss, finite, score.tokens, score.examples))
    return score
