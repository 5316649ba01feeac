"""A database → a data folder of questions and SQL about it.

Queries are sampled, verified, balanced over tables and said in words; the prompt of a pair is the one that asking
makes, hints of cells included. All phrasings of one query are on one side, and no sentence form of the test side occurs
in training. A question that two queries with different answers could have is left out.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from myna.builders.database.choice import Side
from myna.builders.database.glossary import Glossary, read_glossary
from myna.builders.database.lexicon import Language, Lexicon
from myna.builders.database.phrasing import phrasings
from myna.builders.database.private import Disguise
from myna.builders.database.profile import Profile, profile
from myna.builders.database.query import Query
from myna.builders.database.sampling import sample_queries
from myna.builders.database.sql import to_sql
from myna.builders.database.verify import FIRST_ROWS, Verifier
from myna.builders.sides import Shares, key_of
from myna.builders.tables import read_rows
from myna.builders.writer import Built, FolderWriter, new_data_folder
from myna.databases import Database, Limits
from myna.databases.address import Address
from myna.errors import DataError, QueryError, RecipeError
from myna.text2sql.facts import SqlFacts
from myna.text2sql.prompt_settings import PromptSettings
from myna.text2sql.prompter import Prompter
from myna.text2sql.surface import canonical
from myna.text2sql.values import ValueIndex

Languages: TypeAlias = Literal["en", "zh", "both"]

_MOST_PHRASINGS = 4
"""Of one query in one language. More would teach the words, not the database."""
_SHARE_OF_A_TABLE = 2.0
"""A table has at most so many times its even share of the queries, as long as others have any."""
_NAMED = 5
_SECONDS = 2.0
"""Of a query. What takes longer is asked by nobody who waits for the answer, and would hold up all that follow."""


@dataclass(frozen=True, slots=True)
class _Pair:
    question: str
    sql: str
    side: str
    """Split."""


def build_database(
    url: str | Path,
    out: Path,
    *,
    size: int = 2000,
    language: Languages = "en",
    glossary: Path | None = None,
    examples: Path | None = None,
    values: Literal["real", "private"] = "real",
    samples: int = 3,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Built:
    """Make a data folder of questions about a database, each with SQL that runs and says something.

    url: what `Database.open` takes; nothing is written there. size: about so many pairs. glossary: a `glossary.yaml`
    with names of tables, columns and values. examples: a file of your own pairs with columns question and sql, each of
    which is run first. values: `private` puts made-up values of the same type into questions and SQL and shows none of
    the database's, so that what is learnt can be shared without the data; such pairs can't be scored by execution.
    samples: values that the schema shows of a column of texts. valid_share, test_share: of the queries.

    Raises `DatabaseError` when it can't be opened, `DataError` for a database that nothing can be asked of, a glossary
    or examples that don't fit it, and an `out` that is in the way; `RecipeError` for settings that can't be.
    """
    shares = Shares(valid_share, test_share)
    if size < 1:
        raise RecipeError(f"--size {size}: expected at least 1 pair")
    settings = PromptSettings(samples=samples)
    if values == "private" and examples is not None:
        raise RecipeError(
            f"--examples {examples}: --values private makes up no values for your own pairs; give one of both"
        )
    if values == "private":
        settings = settings.without_values()
    languages: tuple[Language, ...] = ("en", "zh") if language == "both" else (language,)
    with Database.open(url, limits=Limits(seconds=_SECONDS)) as database:
        known = profile(database, seed=seed)
        words = Lexicon.of(known, read_glossary(glossary, database.schema) if glossary is not None else Glossary())
        if values == "private":
            words = words.without_told_values()
        else:
            settings = replace(settings, value_names=words.told_values())
        source = {
            "builder": "database",
            "database": database.name,
            "size": size,
            "language": language,
            "values": values,
        }
        with new_data_folder(out, source, origin="database", seed=seed, prompt=settings) as writer:
            private = Disguise(seed) if values == "private" else None
            own = _own_pairs(examples, database, shares, seed, writer) if examples is not None else []
            chosen = _choose(database, known, size, len(languages), seed, writer)
            made = _say(chosen, words, languages, size, shares, seed, database.dialect, private)
            pairs = [*own, *_unambiguous(made, {pair.question for pair in own}, writer)]
            if not pairs:
                raise DataError(f"{database.name}: nothing can be asked of it{_why_nothing(known)}")
            _write(database, Address.parse(url).place, pairs, settings, writer)
            _add_notes(known, len(chosen), private is not None, writer)
    return writer.built(out)


def _choose(
    database: Database, known: Profile, size: int, languages: int, seed: int, writer: FolderWriter
) -> list[Query]:
    """Return verified queries, enough for `size` pairs where the database has them, no table with far more than others.

    What is beyond a table's share waits, and comes last.
    """
    wanted = -(-size // languages)
    asked = [name for name, table in known.tables.items() if table.rows]
    most = max(1, round(_SHARE_OF_A_TABLE * wanted / max(1, len(asked))))
    taken = Counter[str]()
    chosen: list[Query] = []
    waiting: list[Query] = []
    refused: Counter[str] = Counter()
    verifier = Verifier(database, tables=[name for name, table in known.tables.items() if not table.is_view])
    for query in sample_queries(known, seed=seed, count=4 * wanted + 200):
        if len(chosen) >= wanted:
            break
        verdict = verifier.verify(query)
        if verdict.reason is not None:
            refused[verdict.reason] += 1
        elif taken[query.table] < most:
            taken[query.table] += 1
            chosen.append(query)
        else:
            waiting.append(query)
    for reason, count in refused.most_common():
        writer.skip(f"candidates: {reason}", count)
    for table in (table for table in verifier.in_part if known.tables[table].rows > FIRST_ROWS):
        writer.notes.append(
            f"queries of {table} take long: most were run on its first {FIRST_ROWS:,} rows, and prepared on the whole"
        )
    return [*chosen, *waiting[: wanted - len(chosen)]]


def _say(
    queries: Sequence[Query],
    words: Lexicon,
    languages: Sequence[Language],
    size: int,
    shares: Shares,
    seed: int,
    dialect: str,
    private: Disguise | None,
) -> Iterator[_Pair]:
    """Yield pairs: each query once in each language, then, where these are too few, in more phrasings."""
    said: dict[tuple[int, Language], list[_Pair]] = {}
    more = min(_MOST_PHRASINGS, -(-size // max(1, len(queries) * len(languages))) + 1)
    for number, query in enumerate(queries):
        side = shares.side(key_of(to_sql(query, dialect), seed))
        form: Side = "test" if side == "test" else "train"
        asked = query if private is None else private.of(query)
        sql = to_sql(asked, dialect)
        for language in languages:
            chance = random.Random(f"{seed} {number} {language}")
            found = phrasings(asked, words, language, side=form, random=chance, count=more)
            said[number, language] = [_Pair(each.text, sql, side) for each in found]
    given = 0
    for turn in range(more):
        for pairs in said.values():
            if turn < len(pairs) and given < size:
                given += 1
                yield pairs[turn]


def _unambiguous(pairs: Iterable[_Pair], taken: Collection[str], writer: FolderWriter) -> list[_Pair]:
    """Leave out questions that stand there already, and those that different queries would have."""
    by_question: defaultdict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        by_question[_folded(pair.question)].append(pair)
    known = {_folded(question) for question in taken}
    kept = []
    for question, same in by_question.items():
        if question in known or len({pair.sql for pair in same}) > 1:
            writer.skip("questions that could mean two queries", len(same))
        else:
            kept.append(same[0])
    return kept


def _folded(question: str) -> str:
    return " ".join(question.casefold().split()).rstrip(" .?!。？！")


def _own_pairs(path: Path, database: Database, shares: Shares, seed: int, writer: FolderWriter) -> list[_Pair]:
    """Read a person's own pairs; what the database does not run is left out and named."""
    pairs, failing = [], []
    for row in read_rows(path):
        question, sql = row.cells.get("question"), row.cells.get("sql")
        if not isinstance(question, str) or not isinstance(sql, str) or not question.strip() or not sql.strip():
            reason = row.problem or f"no question and sql in it (found: {', '.join(map(str, row.cells))})"
            failing.append(f"{path}:{row.line}: {reason}")
            continue
        try:
            database.run(sql)
        except QueryError as error:
            failing.append(f"{path}:{row.line}: {error}")
            continue
        pairs.append(_Pair(question.strip(), _as_learnt(sql, database), shares.side(key_of(sql, seed))))
    if failing:
        writer.skip("own examples that can't be used", len(failing))
        writer.notes += [f"left out: {case}" for case in failing[:_NAMED]]
    if not pairs:
        raise DataError(
            f"{path}: no pair in it can be used; the first: {failing[0] if failing else 'the file is empty'}"
        )
    return _unambiguous(pairs, (), writer)


def _as_learnt(sql: str, database: Database) -> str:
    try:
        return canonical(sql, database.schema, dialect=database.dialect)
    except QueryError:  # it runs, but lies outside the subset that decoding can be held to
        return " ".join(sql.split()).rstrip("; ")


def _write(
    database: Database, place: str, pairs: Sequence[_Pair], settings: PromptSettings, writer: FolderWriter
) -> None:
    """Write the pairs with the prompts that asking makes.

    Of a schema beyond the budget a prompt may lack what its SQL needs: that teaches nothing, so it is no training.
    """
    name = Path(place.partition("?")[0]).stem or "database"
    writer.databases[name] = place
    cut = 0
    with ValueIndex.open(database, value_names=settings.value_names) if settings.hints else nullcontext() as index:
        prompter = Prompter.of(database, settings, index=index)
        for number, pair in enumerate(pairs, start=1):
            prompt = prompter.prompt(pair.question)
            cut += not prompt.shown.is_whole
            if pair.side != "test" and prompt.lacks(pair.sql, dialect=database.dialect):
                writer.skip("training pairs whose prompt has no room for a table or column that their SQL needs")
                continue
            answer = {"role": "assistant", "content": pair.sql}
            facts = SqlFacts(name, pair.sql, "database", number)
            writer.add(pair.side, {"messages": [*prompt.messages, answer], "sql": facts.as_dict()})
    if cut:
        writer.notes.append(
            f"the schema takes more than {settings.budget:,} bytes, so {cut:,} prompts show the part of it that is "
            "nearest to their question"
        )


def _why_nothing(known: Profile) -> str:
    if known.unread and not known.tables:
        name, reason = next(iter(known.unread.items()))
        return f": none of its tables can be read; {name}: {reason}"
    if not known.schema.tables:
        return ": it has no tables"
    if not any(table.rows for table in known.tables.values()):
        return ": its tables have no rows"
    return ": all that was tried has a trivial answer; it may have too few rows"


def _add_notes(known: Profile, queries: int, is_private: bool, writer: FolderWriter) -> None:
    writer.notes.append(f"{queries:,} queries, each of which ran and gave an answer that no simpler one gives")
    inferred = sorted(
        {
            f"{join.pairs[0][0].table}.{join.pairs[0][0].column} -> {join.pairs[0][1].table}.{join.pairs[0][1].column}"
            for table in known.tables.values()
            for join in table.joins
            if join.inferred
        }
    )
    if inferred:
        more = f" and {len(inferred) - _NAMED} more" if len(inferred) > _NAMED else ""
        writer.notes.append(f"undeclared foreign keys, inferred: {', '.join(inferred[:_NAMED])}{more}")
    writer.notes += known.schema.warnings
    for name, reason in list(known.unread.items())[:_NAMED]:
        writer.notes.append(f"nothing is asked about {name}, which can't be read: {reason}")
    if is_private:
        writer.notes.append("values are made up: score these pairs by exact match, their answers are not in the data")
