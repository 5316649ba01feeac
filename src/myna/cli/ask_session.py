"""The conversation of `myna ask`: questions, and commands that begin with a backslash.

Lines of a person go in; answers are shown, corrections kept. An error ends a question, never the conversation; Ctrl-C
ends the question that runs. Knows nothing of how a question is answered.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.cli.ask_display import Display, Wishes, progress, shown
from myna.cli.line_editing import editing, next_line
from myna.cli.terminal import report_error, say
from myna.errors import DataError, MynaError, did_you_mean

if TYPE_CHECKING:
    from myna.databases import Database, Result, Schema
    from myna.text2sql.asking import Answer, Asker, Corrections

_HELP = r"""\schema [TABLE]   tables and columns
\sql [SELECT …]   the last SQL again, or what a query of your own gives
\explain          what the last SQL asks for, in words
\chart            the last result as bars
\good             the last answer is right: keep it for myna learn
\fix SELECT …     this is the right SQL for the last question: run it and keep it for myna learn
\save FILE        write the last result to a .csv or .json file
\help             this
\quit             leave; Ctrl-D does too, and Ctrl-C ends the question that runs"""


class Session:
    """A conversation with one database."""

    def __init__(self, asker: Asker, display: Display, wishes: Wishes, corrections: Corrections) -> None:
        self._asker = asker
        self._display = display
        self._wishes = wishes
        self._corrections = corrections
        self._answers: list[dict[str, Any]] = []
        self._noted: set[str] = set()
        self._last: Answer | None = None
        self._kept: tuple[str, str | None] | None = None
        self._commands: Mapping[str, Callable[[str], None]] = {
            "\\schema": self._schema,
            "\\sql": self._sql,
            "\\explain": self._explain,
            "\\chart": self._chart,
            "\\good": self._good,
            "\\fix": self._fix,
            "\\save": self._save,
            "\\help": lambda rest: self._display.lines(_HELP.split("\n")),
        }

    def talk(self) -> dict[str, Any]:
        """Answer line by line until there is no more; return all answers."""
        if sys.stdin.isatty():
            tables = len(self._database.schema.tables)
            said = f"{self._database.name}: {tables} table{'' if tables == 1 else 's'}. \\help says what can be typed."
            say(said, stream=sys.stderr)
        with editing([*self._commands, "\\quit", *_names(self._database)], "ask_history"):
            while (line := next_line("> ")) is not None:
                words = line.strip()
                if words == "\\quit":
                    break
                if words:
                    self._take(words)
        return {"answers": self._answers}

    @property
    def _database(self) -> Database:
        return self._asker.database

    def _take(self, line: str) -> None:
        try:
            if line.startswith("\\"):
                command, _, rest = line.partition(" ")
                self._command(command)(rest.strip())
            else:
                self._ask(line)
        except MynaError as error:
            report_error(type(error).__name__, str(error), as_json=False)
        except KeyboardInterrupt:
            say("Stopped.", stream=sys.stderr)

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            near = did_you_mean(name, self._commands).replace("\\\\", "\\")  # a backslash is typed once
            raise DataError(f"unknown command {name}{near}; \\help lists all")
        return self._commands[name]

    def _ask(self, question: str) -> None:
        with progress(sys.stderr) as listener:
            self._asker.listener = listener
            self._last = self._asker.ask(question)
        self._show(self._last)

    def _show(self, answer: Answer) -> None:
        """Show an answer; a note that was shown before is not repeated."""
        news = tuple(note for note in answer.notes if note not in self._noted)
        self._noted.update(news)
        _, failed = shown(replace(answer, notes=news), self._database.dialect, self._display, self._wishes)
        self._answers.append(answer.as_dict())
        if failed is not None:
            report_error(type(failed).__name__, str(failed), as_json=False)

    # Commands

    def _schema(self, table: str) -> None:
        from myna.data.lines import split_lines
        from myna.text2sql.schema_text import schema_text

        schema: Schema = self._database.schema
        if table:
            chosen = tuple(each for each in schema.tables if each.name.casefold() == table.casefold())
            if not chosen:
                names = [each.name for each in schema.tables]
                raise DataError(f"no table {table!r}{did_you_mean(table, names)}; \\schema shows all")
            schema = replace(schema, tables=chosen)
        self._display.paragraphs(split_lines(schema_text(schema, dialect=self._database.dialect)))

    def _sql(self, sql: str) -> None:
        if not sql:
            self._display.sql(self._answered())
            return
        with progress(sys.stderr) as listener:
            listener("running", sql)
            result = self._database.run(sql)
        self._display.result(result)

    def _explain(self, rest: str) -> None:
        from myna.text2sql.asking import explain

        sql = self._answered()
        self._display.paragraphs(explain(sql, self._database.dialect, language=self._wishes.explain or "en"))

    def _chart(self, rest: str) -> None:
        self._display.chart(self._with_rows()[1])

    def _good(self, rest: str) -> None:
        answer, _ = self._with_rows()
        if (answer.question, answer.sql) == self._kept:
            say(f"It is in {self._corrections.path} already.", stream=sys.stderr)
            return
        self._corrections.keep(answer, self._answered(), self._database)
        self._say_kept(answer)

    def _fix(self, sql: str) -> None:
        if self._last is None:
            raise DataError("there is no question to correct yet; ask one first")
        if not sql:
            raise DataError("\\fix needs the right SQL behind it: \\fix SELECT …")
        with progress(sys.stderr) as listener:
            listener("running", sql)
            result = self._corrections.keep(self._last, sql, self._database)
        self._display.result(result)
        self._last = replace(self._last, sql=sql, result=result, error=None, repairs=0, agreed=1, of=1, notes=())
        self._say_kept(self._last)

    def _say_kept(self, answer: Answer) -> None:
        self._kept = (answer.question, answer.sql)
        say(f"Kept in {self._corrections.path}.", stream=sys.stderr)

    def _save(self, name: str) -> None:
        if not name:
            raise DataError("\\save needs a file behind it: \\save FILE.csv or FILE.json")
        (answer, result), path = self._with_rows(), Path(name).expanduser()
        if path.suffix not in (".csv", ".json"):
            raise DataError(f"{path}: expected a name that ends in .csv or .json")
        content = _as_csv(answer) if path.suffix == ".csv" else json.dumps(answer.as_dict(), ensure_ascii=False) + "\n"
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(content)
        except FileExistsError:
            raise DataError(f"{path}: exists already; name a new file") from None
        except OSError as error:
            raise DataError(f"{path}: can't be written ({error.strerror}); name another file") from error
        rows = len(result.rows)
        say(f"Saved {rows:,} row{'' if rows == 1 else 's'} in {path}.", stream=sys.stderr)

    def _answered(self) -> str:
        """Return the last SQL."""
        if self._last is None or self._last.sql is None:
            raise DataError("there is no SQL yet; ask a question first")
        return self._last.sql

    def _with_rows(self) -> tuple[Answer, Result]:
        """Return the last answer and its rows."""
        if self._last is None or self._last.result is None:
            raise DataError("there is no result yet; ask a question first, or give its SQL with \\fix SELECT …")
        return self._last, self._last.result


def _names(database: Database) -> Iterator[str]:
    """Yield the names of tables and columns as SQL writes them."""
    from myna.text2sql.identifiers import identifier, table_identifier

    for table in database.schema.tables:
        yield table_identifier(table.name, database.dialect)
        yield from (identifier(column.name, database.dialect) for column in table.columns)


def _as_csv(answer: Answer) -> str:
    content = answer.as_dict()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(content["columns"])
    writer.writerows(content["rows"])
    return text.getvalue()
