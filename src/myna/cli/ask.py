"""`myna ask`: a question to a database in words, or a conversation with it when none is given."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from myna.cli.flags import COMMON, BadNews, Common, UsageError
from myna.cli.model_flags import (
    MACHINE,
    MODEL,
    Machine,
    ModelAndAdapter,
    ModelFlags,
    base_model,
    load_model,
    recipe_of_run,
)
from myna.cli.terminal import say

if TYPE_CHECKING:
    from myna.databases import Database


def ask(
    database: str,
    question: str | None = None,
    /,
    *,
    sql_only: Annotated[bool, Parameter(negative="")] = False,
    explain: Annotated[bool, Parameter(negative="")] = False,
    language: Literal["en", "zh"] = "en",
    chart: Annotated[bool, Parameter(negative="")] = False,
    samples: int = 1,
    repairs: int = 2,
    constrain: Literal["off", "schema", "content"] | None = None,
    values: bool = True,
    corrections: Path = Path("corrections.jsonl"),
    time_limit: float = 10.0,
    max_tokens: Annotated[int, Parameter(name=["--max-tokens", "-m"])] = 256,
    model: ModelAndAdapter = MODEL,
    machine: Machine = MACHINE,
    common: Common = COMMON,
) -> dict[str, Any] | BadNews:
    r"""Ask a database a question in words: shows the SQL, then its rows. Nothing is ever changed in the database.

    Without a question it asks for questions until \quit; \help says what else can be typed there.

    Parameters
    ----------
    database
        A SQLite or DuckDB file, a CSV, Parquet or JSON file or a folder of these, or a URL: postgresql://…, mysql://…
    question
        What you want to know; left out, you are asked for questions.
    sql_only
        Print the SQL and nothing else.
    explain
        Say in words what the SQL asks for: tables, columns, conditions.
    language
        Language of --explain.
    chart
        Draw a result of one category and one number as bars.
    samples
        Let the model answer this many times, and take the result that most of its queries give.
    repairs
        How often a query that fails goes back to the model with the database's error, 0 to 2.
    constrain
        Hold the SQL to existing tables and columns (schema), also to values that are in the table and the question
        (content), or to nothing (off); by default what measures best.
    values
        Show the model cells that the question names, and a few samples.
    corrections
        File that \good and \fix append to, for myna learn.
    time_limit
        Seconds after which a query is ended.
    max_tokens
        Longest answer in tokens.
    """
    if sql_only and (explain or chart):
        raise UsageError("--sql-only prints nothing but SQL, so --explain and --chart have no place; leave one out")
    if not 0 < time_limit < float("inf"):
        raise UsageError(f"--time-limit {time_limit:g}: expected seconds, more than 0")
    base_model(model)  # says at once when none is named
    from myna.cli.ask_display import Display, Wishes, progress, shown
    from myna.databases import Database, Limits
    from myna.text2sql.asking import Asker, Corrections, ModelAnswerer

    display = Display(sys.stdout)
    with ExitStack() as open_things:
        opened = open_things.enter_context(Database.open(database, limits=Limits(seconds=time_limit)))
        _say_what_changed(model, opened)
        with progress(sys.stderr) as listener:
            answerer = ModelAnswerer(load_model(model, machine), max_tokens=max_tokens)
            asker = open_things.enter_context(
                Asker(
                    opened,
                    answerer,
                    samples=samples,
                    constrain=constrain,
                    repairs=repairs,
                    values=values,
                    listener=listener,
                )
            )
            answer = None if question is None else asker.ask(question)
        wishes = Wishes(sql_only=sql_only, explain=language if explain else None, chart=chart)
        if answer is None:
            from myna.cli.ask_session import Session

            return Session(asker, display, wishes, Corrections(corrections)).talk()
        result, failed = shown(answer, opened.dialect, display, wishes)
        return result if failed is None else BadNews(result, failed)


def _say_what_changed(model: ModelFlags, database: Database) -> None:
    """Say how the schema differs from the one that the adapter's run has learnt."""
    from myna.text2sql.asking import changes_since_training

    recipe = recipe_of_run(model.adapter_path)
    if recipe is None or recipe.data is None:
        return
    for change in changes_since_training(Path(recipe.data), database):
        say(f"Note: since training {change}", stream=sys.stderr)
