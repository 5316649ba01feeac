"""`ask`: a question becomes SQL, and SQL rows, or an honest "no".

The model answers; each answer is parsed, prepared and run behind the database's wall; candidates vote by result; where
none survives, the nearest one goes back to the model with the database's own words, at most twice. What comes out of
the database (cells, names, errors) is text in a prompt at most: nothing here follows it, and nothing that a model was
talked into can do more than read. Knows no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from myna.data.example import Message
from myna.databases import Database, Limits
from myna.errors import MissingDependency, PromptError, RecipeError, ResourceError
from myna.generation import Sampling, load
from myna.text2sql.asking.answer import Answer, Candidate
from myna.text2sql.asking.answerer import Answerer, ModelAnswerer
from myna.text2sql.asking.briefing import Briefer, Briefing, Constrain
from myna.text2sql.asking.candidates import judge, nearest, vote

__all__ = ["Asker", "Constrain", "Progress", "ask"]

MOST_REPAIRS = 2

Progress: TypeAlias = Literal["answering", "running", "repairing"]
Listener: TypeAlias = Callable[[Progress, str], None]
"""Is told what begins, with the SQL that runs or the error that is mended."""

_REPAIR = "The database says: {error}\nAnswer with one corrected query only."
_FREE = "nothing in the question is a value of the database, so the condition was free to hold any"
_CONDITION = re.compile(r"\b(WHERE|HAVING)\b", re.IGNORECASE)
_LONGEST_ERROR = 300
"""Characters of a database's error that a model is given."""


def ask(
    database: Path | str,
    question: str,
    *,
    model: str,
    adapter_path: Path | str | None = None,
    samples: int = 1,
    constrain: Constrain | None = None,
    repairs: int = MOST_REPAIRS,
    values: bool = True,
    time_limit: float = 10.0,
    max_tokens: int = 256,
    sampling: Sampling | None = None,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    dtype: str = "auto",
    device: str = "auto",
) -> Answer:
    """Ask `database` a question in words.

    database: a path or URL, see `databases.address`. adapter_path: a run folder, a checkpoint, or an adapter's folder.
    samples: candidates that vote by their results; the first is the likeliest, the others are drawn by `sampling`.
    constrain: hold the SQL to the schema, or also its values to what the tables have and the question names, or to
    nothing; None takes what measures best and can be had. repairs: how often an error may go back to the model, 0 to 2.
    values: cells of the database in the prompt, as the model was trained with: those that the question names and a few
    samples. False shows none. time_limit: seconds
    of each query. max_tokens: of an answer.

    Raises `DatabaseError`, `ModelError`, `AdapterError`, `PromptError`, `RecipeError` (a setting out of range),
    `ResourceError` and `MissingDependency`. A question that no candidate answers raises nothing: see `Answer.error`.
    """
    _check(samples, repairs)
    if not 0 < time_limit < float("inf"):
        raise RecipeError(f"time_limit is {time_limit:g}; expected seconds, more than 0")
    with Database.open(database, limits=Limits(seconds=time_limit)) as opened:
        loaded = load(model, adapter_path=adapter_path, engine=engine, dtype=dtype, device=device)
        answerer = ModelAnswerer(loaded, max_tokens=max_tokens, sampling=sampling)
        with Asker(opened, answerer, samples=samples, constrain=constrain, repairs=repairs, values=values) as asker:
            return asker.ask(question)


class Asker:
    """A database and what answers about it, for as many questions as come.

    answerer = ModelAnswerer(load("Qwen/Qwen2.5-0.5B-Instruct"))
    with Database.open("school.sqlite") as database, Asker(database, answerer) as asker:
        asker.ask("How many students are in ninth grade?").result
    """

    def __init__(
        self,
        database: Database,
        answerer: Answerer,
        *,
        samples: int = 1,
        constrain: Constrain | None = None,
        repairs: int = MOST_REPAIRS,
        values: bool = True,
        listener: Listener | None = None,
    ) -> None:
        """See `ask`. Reads the schema.

        Raises `DatabaseError` when nothing can be asked of it, `RecipeError`, and, where constraining was asked for and
        can't be had, `MissingDependency` or `PromptError`.
        """
        _check(samples, repairs)
        self.database = database
        self._answerer = answerer
        self._samples = samples
        self._repairs = repairs
        self.listener: Listener = listener or (lambda progress, detail: None)
        self._chosen = constrain is not None
        held, self._notes = _what_can_be_had(constrain, answerer, values=values)
        try:
            self._briefer = Briefer(database, answerer.prompt_settings, constrain=held, values=values)
        except MissingDependency:
            if self._chosen:
                raise
            self._briefer = Briefer(database, answerer.prompt_settings, constrain="schema", values=values)

    def ask(self, question: str) -> Answer:
        """Answer a question. Raises what `ask` raises but for model and adapter."""
        briefing = self.brief(question)
        self.listener("answering", question)
        texts, held, notes = self._answers(briefing)
        # a text that came twice is judged once
        judged = {text: self._judge(text, 0) for text in dict.fromkeys(texts)}
        candidates = [judged[text] for text in texts]
        chosen = vote(candidates, self.database.dialect)
        candidate, agreed = chosen or (self._repaired(briefing, held, nearest(candidates)), 0)
        if agreed == 0 and candidate.result is not None:
            agreed = 1
        if briefing.free and candidate.sql is not None and _CONDITION.search(candidate.sql):
            notes = (*notes, _FREE)
        return Answer(
            question,
            candidate.sql,
            candidate.result,
            candidate.error,
            candidate.repairs,
            agreed,
            len(candidates),
            briefing.messages,
            (*briefing.notes, *notes),
        )

    def brief(self, question: str) -> Briefing:
        """Return what the model is told for a question. Raises `PromptError` for an empty one."""
        if not question.strip():
            raise PromptError("the question is empty; ask something")
        return self._briefer.brief(question)

    def close(self) -> None:
        """Close what was opened beside the database; harmless when called twice."""
        self._briefer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answers(self, briefing: Briefing) -> tuple[list[str], str | None, tuple[str, ...]]:
        """Return the model's answers, free ones where its constraint proves too large and nobody asked for it; the
        grammar that they were held to; and what a person should know."""
        try:
            texts = self._answerer.answers(briefing.messages, count=self._samples, grammar=briefing.grammar)
        except ResourceError as error:
            if briefing.grammar is None or self._chosen:
                raise
            texts = self._answerer.answers(briefing.messages, count=self._samples, grammar=None)
            return texts, None, (*self._notes, f"the answer was not held to the schema: {error}")
        return texts, briefing.grammar, self._notes

    def _judge(self, text: str, repairs: int) -> Candidate:
        return judge(text, self.database, repairs=repairs, running=lambda sql: self.listener("running", sql))

    def _repaired(self, briefing: Briefing, held: str | None, failed: Candidate) -> Candidate:
        """Give the database's words back to the model until a query runs or repairs are spent.

        Returns the query that runs, else the one that came nearest.
        """
        conversation: list[Message] = list(briefing.messages)
        tried = [failed]
        for number in range(1, self._repairs + 1):
            last = tried[-1]
            error = " ".join(str(last.error).split())[:_LONGEST_ERROR]
            self.listener("repairing", error)
            conversation += _turn(last.sql or last.text, error)
            (text,) = self._answerer.answers(conversation, count=1, grammar=held)
            tried.append(self._judge(text, number))
            if tried[-1].result is not None:
                return tried[-1]
        best = nearest(tried)
        return Candidate(best.text, best.sql, None, best.error, len(tried) - 1)


def _turn(answer: str, error: str) -> Sequence[Message]:
    return (
        {"role": "assistant", "content": answer},
        {"role": "user", "content": _REPAIR.format(error=error)},
    )


def _what_can_be_had(
    constrain: Constrain | None, answerer: Answerer, *, values: bool
) -> tuple[Constrain, tuple[str, ...]]:
    """Return how to constrain; where nobody chose, what measures best and can be had, with a note of what can't."""
    if constrain == "off":
        return "off", ()
    try:
        answerer.prepare_constraint()
    except (MissingDependency, PromptError) as error:
        if constrain is not None:
            raise
        return "off", (f"answers are not held to the schema: {error}",)
    return constrain or ("content" if values else "schema"), ()


def _check(samples: int, repairs: int) -> None:
    if samples < 1:
        raise RecipeError(f"samples is {samples}; expected 1 or more")
    if not 0 <= repairs <= MOST_REPAIRS:
        raise RecipeError(f"repairs is {repairs}; expected 0 to {MOST_REPAIRS}")
