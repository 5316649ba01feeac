"""The loop: steps, reports, evaluations, checkpoints, until the run is done or the user stops it.

In: a `Prepared` run, how far it has come, its folder and log. Out: events, and the files of the run. Knows
engines only by their protocol, and nothing of how events are shown.

Whatever happens after step k is a function of the run's inputs and k alone, so that a run that goes on from a
checkpoint does and logs what an undisturbed one does.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Sequence

from myna.batching.batch import Batch
from myna.batching.rows import pack
from myna.data.example import Source
from myna.engines.base import StepResult
from myna.errors import Interrupted, ResourceError, TrainingError
from myna.evaluation import evaluation_rows, fixed_selection, mean_loss
from myna.runs import EventLog, RunFolder
from myna.training import checkpoints
from myna.training.events import Evaluation, Event, Listener, Report, Saved, Step
from myna.training.interruption import Interruption
from myna.training.preparation import Prepared
from myna.training.progress import Progress, Window

_NAMED_EXAMPLES = 8
"""How many examples an error message names before it only counts the rest."""


class Loop:
    """One run while it trains."""

    def __init__(
        self,
        prepared: Prepared,
        progress: Progress,
        *,
        run: RunFolder,
        log: EventLog,
        listener: Listener,
        interruption: Interruption,
    ) -> None:
        self.prepared = prepared
        self.progress = progress
        self.run = run
        self.log = log
        self.listener = listener
        self.interruption = interruption
        self._gradient_norm = 0.0
        self._unsaved = False

    def tell(self, event: Event) -> None:
        """Log an event and give it to the listener."""
        self.log.append(event.as_dict())
        self.listener(event)

    def train(self) -> None:
        """Go on until the run is done.

        Raises `Interrupted` when the user asks to stop (everything is saved then), `TrainingError` when loss,
        gradient or weights are not finite, `ResourceError` when memory or disk run out.
        """
        while True:
            if self._evaluation_due():
                self._evaluate()
            if self._saving_due():
                self._save()
            if self.interruption.requested:
                raise self.interrupted()
            if self.done():
                return
            self._step()
            if self._report_due():
                self._report()

    def done(self) -> bool:
        """Whether all steps are done, or validation has not got better for long enough."""
        return self.progress.step >= self.prepared.iterations or self.stopped_early()

    def stopped_early(self) -> bool:
        """Whether the run ends for want of a better validation loss."""
        return self.progress.out_of_patience(self.prepared.recipe.early_stopping)

    def interrupted(self) -> Interrupted:
        """Return the error that tells the user where things stand and how to go on."""
        step, total = self.progress.step, self.prepared.iterations
        saved = f"everything is saved in {self.run.checkpoint(step)}" if step else "nothing was trained yet"
        go_on = f" Go on with: myna train --resume {shlex.quote(str(self.run.path))}" if step else ""
        message = f"Interrupted after iteration {step} of {total}; {saved}.{go_on}"
        return Interrupted(message, exit_code=self.interruption.exit_code)

    def _step(self) -> None:
        """Take one optimizer step."""
        recipe, number = self.prepared.recipe, self.progress.step
        began = time.perf_counter()
        samples = [self.prepared.train[int(index)] for index in self.prepared.order.step(number)]
        share = recipe.lora_parameters.dropout == 0
        rows = pack(samples, tokens_per_row=self.prepared.model.row_tokens, share=share)
        try:
            result = self.prepared.model.step(
                rows, self.prepared.schedule(number), step=number, max_gradient_norm=recipe.max_grad_norm
            )
        except (ResourceError, MemoryError) as error:
            raise ResourceError(self._out_of_memory(rows)) from error
        if not math.isfinite(result.loss_sum) or not math.isfinite(result.gradient_norm):
            raise TrainingError(self._not_finite(result, [sample.source for sample in samples]))
        self._gradient_norm = result.gradient_norm
        self._unsaved = True
        self.progress.add_step(
            loss_sum=result.loss_sum,
            trained_tokens=result.tokens,
            tokens=sum(len(sample) for sample in samples),
            seconds=time.perf_counter() - began,
        )
        self.listener(Step(self.progress.step, result.loss_sum / result.tokens))

    def _report_due(self) -> bool:
        step = self.progress.step
        return step % self.prepared.recipe.steps_per_report == 0 or step == self.prepared.iterations

    def _report(self) -> None:
        progress, window = self.progress, self.progress.window
        seconds = max(window.seconds, 1e-9)
        progress.window = Window()
        self.tell(
            Report(
                iteration=progress.step,
                train_loss=window.loss_sum / window.trained_tokens,
                learning_rate=self.prepared.schedule(progress.step - 1),
                gradient_norm=self._gradient_norm,
                iterations_per_second=window.steps / seconds,
                trained_tokens_per_second=window.trained_tokens / seconds,
                tokens_per_second=window.tokens / seconds,
                trained_tokens=progress.trained_tokens,
                peak_memory_bytes=self.prepared.engine.peak_memory_bytes(),
                seconds=progress.seconds,
            )
        )

    def _evaluation_due(self) -> bool:
        """Before the first step, at every `steps_per_eval`, and at the end; never twice at one step."""
        step = self.progress.step
        if self.prepared.valid is None or self.progress.evaluated == step:
            return False
        return step % self.prepared.recipe.steps_per_eval == 0 or step == self.prepared.iterations

    def _evaluate(self) -> None:
        """Evaluate on always the same samples. Asked to stop, leave it undone: a resumed run begins with
        it."""
        recipe, valid, step = self.prepared.recipe, self.prepared.valid, self.progress.step
        assert valid is not None
        wanted = None if recipe.val_batches == -1 else recipe.val_batches * recipe.batch_size
        chosen = fixed_selection(len(valid), wanted, recipe.seed)
        rows = evaluation_rows(valid, chosen, tokens_per_row=self.prepared.model.row_tokens)
        began = time.perf_counter()
        try:
            loss, tokens = mean_loss(self.prepared.model, self.interruption.until_requested(rows))
        except (ResourceError, MemoryError) as error:
            raise ResourceError(self._out_of_memory(())) from error
        if self.interruption.requested:
            return
        if not math.isfinite(loss):
            base = "Before any training; try --dtype float32, or look whether the base model answers: myna generate."
            advice = self._go_on_from_checkpoint() if step else base
            raise TrainingError(f"iteration {step}: the validation loss is {loss}. {advice}")
        best = self.progress.add_evaluation(loss)
        self._unsaved = True
        seconds = time.perf_counter() - began
        self.tell(Evaluation(step, loss, tokens=tokens, samples=len(chosen), seconds=seconds, best=best))

    def _saving_due(self) -> bool:
        """At every `save_every`, at a new best (whose adapter is then in a checkpoint), at the end, when
        asked to stop."""
        step, best = self.progress.step, self.progress.best
        if step == 0 or not self._unsaved:
            return False
        return (
            step % self.prepared.recipe.save_every == 0
            or (best is not None and best.iteration == step)
            or self.done()
            or self.interruption.requested
        )

    def _save(self) -> None:
        self.log.flush()
        self.progress.log_bytes = self.log.size
        path = checkpoints.save(
            self.run,
            self.prepared.model,
            self.progress,
            recipe=self.prepared.recipe,
            spec=self.prepared.spec,
            files=self.prepared.files,
            note=self.prepared.note,
        )
        self._unsaved = False
        self.tell(Saved(self.progress.step, path.relative_to(self.run.path).as_posix()))
        checkpoints.keep(self.run, self.progress.kept)

    def _not_finite(self, result: StepResult, sources: Sequence[Source]) -> str:
        what = "loss" if not math.isfinite(result.loss_sum) else "gradient norm"
        value = result.loss_sum if what == "loss" else result.gradient_norm
        named = ", ".join(str(source) for source in sources[:_NAMED_EXAMPLES])
        more = f" and {len(sources) - _NAMED_EXAMPLES} more" if len(sources) > _NAMED_EXAMPLES else ""
        return (
            f"iteration {self.progress.step + 1}: the {what} is {value} (examples {named}{more}). "
            f"{self._go_on_from_checkpoint()}"
        )

    def _go_on_from_checkpoint(self) -> str:
        saved = [each for each in self.run.checkpoints() if each[0] <= self.progress.step]
        advice = f"Lower --learning-rate (now {self.prepared.recipe.learning_rate:g}) or try --dtype float32"
        again = f", and start from it with --resume-adapter-file {shlex.quote(str(saved[-1][1]))}" if saved else ""
        return f"{checkpoints.last_saved(self.run, self.progress.step)} {advice}{again}."

    def _out_of_memory(self, rows: Sequence[Batch]) -> str:
        recipe = self.prepared.recipe
        longest = max((s.stop - s.start for row in rows for s in row.segments), default=0)
        seen = f"; the longest example here has {longest} tokens" if longest else ""
        shared = any(len(row.segments) > 1 for row in rows)
        batch = f", --batch-size (now {recipe.batch_size})" if shared else ""
        layers = f" (now {recipe.num_layers})" if recipe.num_layers is not None else ""
        rank = f", --rank (now {recipe.lora_parameters.rank})" if recipe.fine_tune_type != "full" else ""
        checkpointing = "" if recipe.grad_checkpoint else " or add --grad-checkpoint"
        return (
            f"iteration {self.progress.step + 1}: memory ran out. Lower --max-seq-length (now "
            f"{recipe.max_seq_length}{seen}), --num-layers{layers}"
            f"{batch}{rank}{checkpointing}. {checkpoints.last_saved(self.run, self.progress.step)}"
        )
