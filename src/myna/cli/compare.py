"""`myna compare`: runs side by side, on the terminal and as one HTML page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.model_flags import Dtype, EngineName


def compare(
    *runs: Path,
    questions: Path | None = None,
    database: str | None = None,
    data: Path | None = None,
    size: int = 8,
    max_tokens: Annotated[int, Parameter(name=["--max-tokens", "-m"])] = 256,
    test_batches: int | None = None,
    measure: bool = True,
    time_limit: float = 10.0,
    engine: EngineName | None = None,
    dtype: Dtype | None = None,
    device: str | None = None,
    out: Path | None = None,
    common: Common = COMMON,
) -> Any:
    """Put runs side by side: losses, speed, memory, sizes, and answers to the same questions.

    Any runs compare: LoRA and QLoRA, ranks, layers, base models, engines. What
    training measured is read from the run folders; test loss, generation speed
    and answers are measured, in a process for each run.

    Parameters
    ----------
    runs
        Run folders, two or more.
    questions
        A question a line, with a tab and its SQL where that is known, or .jsonl; by default some of the test data.
    database
        Path or URL of the database that answers are run on; by default the data folder's own.
    data
        Folder whose test.jsonl all runs are tested on; by default each run's own.
    size
        Ask this many of the test examples, always the same ones; 0 asks none.
    max_tokens
        Longest answer in tokens.
    test_batches
        Take only this many batches of the test set; -1 takes all of it. By default what the recipe says.
    measure
        Measure what no log has; without it only what the runs wrote is shown, at once.
    time_limit
        Seconds after which a query is ended.
    engine
        Tensor library to measure with; by default the recipe's.
    dtype
        Number type of the base weights; by default the recipe's.
    device
        auto, cpu, cuda, cuda:1 …; by default the recipe's.
    out
        HTML file for the page; by default comparisons/ and the names of the runs.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two run folders or more: myna compare runs/a runs/b")
    from myna.cli.compare_display import progress, show
    from myna.reports import comparing

    with progress(sys.stderr) as listener:
        comparison = comparing.compare(
            runs,
            questions=questions,
            database=database,
            data=data,
            size=size,
            max_tokens=max_tokens,
            test_batches=test_batches,
            measure=measure,
            time_limit=time_limit,
            engine=engine,
            dtype=dtype,
            device=device,
            output=out or Path("comparisons") / _name(runs),
            listener=listener,
        )
    show(comparison, sys.stdout)
    return comparison.as_dict()


def _name(runs: tuple[Path, ...]) -> str:
    names = [run.expanduser().resolve().name for run in runs]
    return f"{names[0]}-and-{names[1] if len(names) == 2 else f'{len(names) - 1}-more'}.html"
