"""`myna learn`: a run's adapter learns from corrections; the better of old and new is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common
from myna.cli.learn_display import display, show_result


def learn(
    run: Path,
    corrections: Path,
    /,
    *,
    out: Path | None = None,
    data: Path | None = None,
    databases: Path | None = None,
    other_databases: bool = False,
    replay: float = 3.0,
    held_out: float = 0.2,
    iters: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    size: int | None = None,
    constrain: Literal["off", "schema", "content"] = "off",
    workers: int | None = None,
    time_limit: float = 10.0,
    max_tokens: Annotated[int, Parameter(name=["--max-tokens", "-m"])] = 256,
    common: Common = COMMON,
) -> dict[str, Any]:
    r"""Train a run's adapter further on corrections, in a new run; keep the better of both and say what changed.

    Old and new are scored by running their SQL, on the run's own test and on
    held-out corrections. The adapter that is right more often is kept; when they
    are even, the new one if it is right on more corrections. The old run is only
    read. Interrupted, the same command goes on where it was.

    Parameters
    ----------
    run
        Folder of a finished run.
    corrections
        File that \good and \fix of myna ask write; SQL in it that no longer runs is reported and left out.
    out
        Folder of the new run; by default the old one's name with -learnt behind it.
    data
        Data folder of the run, when it was moved.
    databases
        Folder with NAME.sqlite or NAME/NAME.sqlite, where the databases are not where data.json says.
    other_databases
        Learn corrections of databases that the run's data does not know, too.
    replay
        Lines of the run's training data for each time that a correction is learnt; 0 for none.
    held_out
        About this share of the corrections is not learnt but scored on, where there are 5 or more.
    iters
        Optimizer steps; by default so many that each correction is learnt 8 times or more.
    learning_rate
        The highest learning rate; by default half of the run's. It rises, then falls to 0.
    seed
        Determines what is held out and replayed; by default the run's.
    size
        Score on this many questions of the test, always the same ones.
    constrain
        Hold answers to SQL over the question's tables (schema), or also to values that are in them (content).
    workers
        Processes that run SQL; by default as many as there are cores.
    time_limit
        Seconds after which a query is ended.
    max_tokens
        Longest answer in tokens.
    """
    from myna.reports import write_report
    from myna.text2sql import learning

    with display(sys.stderr) as listener:
        result = learning.learn(
            run,
            corrections,
            out=out,
            data=data,
            databases=databases,
            other_databases=other_databases,
            replay=replay,
            held_out=held_out,
            iters=iters,
            learning_rate=learning_rate,
            seed=seed,
            size=size,
            constrain=constrain,
            workers=workers,
            time_limit=time_limit,
            max_tokens=max_tokens,
            listener=listener,
        )
    report = write_report(result.run)
    show_result(result, report, sys.stdout)
    return {**result.as_dict(), "report": str(report)}
