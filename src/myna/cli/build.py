"""`myna data database`, `wikisql`, `spider`, `sql-create-context`, `articles`, `files`: a source → a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.terminal import say

if TYPE_CHECKING:
    from myna.builders.writer import Built

Format: TypeAlias = Literal["auto", "chat", "text"]


def wikisql(
    folder: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    format: Format = "auto",
    sql_style: Literal["executable", "wikisql"] = "executable",
    hints: Annotated[bool, Parameter(negative="")] = False,
    size: int | None = None,
    train_size: int | None = None,
    valid_size: int | None = None,
    test_size: int | None = None,
    train_file: str = "train",
    valid_file: str | None = None,
    test_file: str | None = None,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of WikiSQL, with the databases that scoring needs.

    Parameters
    ----------
    folder
        Folder with STEM.jsonl and STEM.tables.jsonl; train.exec shares train.tables.jsonl.
    out
        The new data folder.
    model
        Folder or hub id of the model to be trained: --format auto looks whether it has a chat template.
    format
        Conversations, the "table: … columns: … Q: … A: …" text of the MLX LoRA example, or what suits the model.
    sql_style
        Executable SQL that a database runs, or the surface of the WikiSQL papers.
    hints
        Show the cells of its table that a question names, as asking does.
    size
        At most so many examples of each split; a larger size holds all of a smaller one.
    train_size
        The same for training alone.
    valid_size
        The same for validation; 0 for none.
    test_size
        The same for testing; 0 for none.
    train_file
        Stem of the training questions, such as train.exec.
    valid_file
        Stem for validation; by default dev where it is there, else a tenth of the training tables.
    test_file
        Stem for testing, such as test_a.exec; by default test where it is there, else none.
    seed
        Determines which examples are taken and how they are split.
    """
    from myna.builders.wikisql import build_wikisql

    return show_built(
        build_wikisql(
            folder,
            out,
            model=model,
            format=format,
            sql_style=sql_style,
            hints=hints,
            size=size,
            train_size=train_size,
            valid_size=valid_size,
            test_size=test_size,
            train_file=train_file,
            valid_file=valid_file,
            test_file=test_file,
            seed=seed,
        )
    )


def spider(
    folder: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    format: Format = "auto",
    samples: int = 3,
    hints: Annotated[bool, Parameter(negative="")] = False,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of Spider, its databases included, split by database.

    Parameters
    ----------
    folder
        Folder with train_spider.json (and train_others.json, dev.json), tables.json and database/.
    out
        The new data folder.
    model
        Folder or hub id of the model to be trained: --format auto looks whether it has a chat template.
    format
        Conversations, one text with Q: and A:, or what suits the model.
    samples
        Values of each text column that the schema shows; 0 shows none.
    hints
        Show the cells that a question names, as asking does.
    size
        At most so many examples of each split.
    valid_share
        About which share of the databases is kept for validation.
    test_share
        About which share is kept for testing where there is no dev.json.
    seed
        Determines which examples are taken and how they are split.
    """
    from myna.builders.spider import build_spider

    return show_built(
        build_spider(
            folder,
            out,
            model=model,
            format=format,
            samples=samples,
            hints=hints,
            size=size,
            valid_share=valid_share,
            test_share=test_share,
            seed=seed,
        )
    )


def sql_create_context(
    file: Path,
    /,
    *,
    out: Path,
    system_prompt: str | None = None,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of sql-create-context, in the tutorial's wording, no schema on two sides.

    Parameters
    ----------
    file
        JSON, JSONL, CSV or Parquet with question, context and answer.
    out
        The new data folder.
    system_prompt
        The system message; {schema} in it stands for the CREATE TABLE statements.
    size
        At most so many examples of each split.
    valid_share
        About which share of the schemas is kept for validation.
    test_share
        About which share is kept for testing.
    seed
        Determines which examples are taken and how they are split.
    """
    from myna.builders.sql_create_context import SYSTEM_PROMPT, build_sql_create_context

    return show_built(
        build_sql_create_context(
            file,
            out,
            system_prompt=SYSTEM_PROMPT if system_prompt is None else system_prompt,
            size=size,
            valid_share=valid_share,
            test_share=test_share,
            seed=seed,
        )
    )


def articles(
    source: Path,
    /,
    *,
    out: Path,
    model: str | None = None,
    max_seq_length: int = 2048,
    match: str | None = None,
    marker: str | None = None,
    instruction: str | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of articles: each title asks for its content; long ones are cut at headings.

    Parameters
    ----------
    source
        A blog's README with lines "##### path   [《title》](path)", or a folder of Markdown.
    out
        The new data folder.
    model
        Folder or hub id of the model to be trained, whose tokenizer measures the pieces; else they are estimated.
    max_seq_length
        Most tokens of an example.
    match
        Only articles whose title or path holds this, in any case.
    marker
        Text of the line above the index, where it is not found by itself.
    instruction
        The question, with {title} in it.
    valid_share
        About which share of the articles is kept for validation.
    test_share
        About which share is kept for testing.
    seed
        Determines how the articles are split.
    """
    from myna.builders.articles import PLACE_OF_TITLE, build_articles

    return show_built(
        build_articles(
            source,
            out,
            model=model,
            max_seq_length=max_seq_length,
            match=match,
            marker=marker,
            instruction=PLACE_OF_TITLE if instruction is None else instruction,
            valid_share=valid_share,
            test_share=test_share,
            seed=seed,
        )
    )


def database(
    url: str,
    /,
    *,
    out: Path,
    size: int = 2000,
    language: Literal["en", "zh", "both"] = "en",
    glossary: Path | None = None,
    examples: Path | None = None,
    values: Literal["real", "private"] = "real",
    samples: int = 3,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of your own database: questions in words, each with SQL that ran and says something.

    Parameters
    ----------
    url
        SQLite, DuckDB, CSV or Parquet file, or a postgresql:// or mysql:// URL; it is opened read-only.
    out
        The new data folder.
    size
        About so many pairs.
    language
        English, Chinese, or both.
    glossary
        YAML file of what you call your tables, columns and values.
    examples
        Your own pairs, a file with columns question and sql; each is run first.
    values
        Real values of the database, or private: made-up ones, so that what is learnt can be shared without the data.
    samples
        Values of each text column that the schema shows; 0 shows none.
    valid_share
        About which share of the queries is kept for validation.
    test_share
        About which share is kept for testing, in forms of words that training never sees.
    seed
        Determines which queries are asked, their words, and how they are split.
    """
    from myna.builders.database.build import build_database

    return show_built(
        build_database(
            url,
            out,
            size=size,
            language=language,
            glossary=glossary,
            examples=examples,
            values=values,
            samples=samples,
            valid_share=valid_share,
            test_share=test_share,
            seed=seed,
        )
    )


def files(
    *paths: Path,
    out: Path,
    prompt: Annotated[str | None, Parameter(name=["--prompt", "--question"])] = None,
    completion: Annotated[str | None, Parameter(name=["--completion", "--answer", "--sql"])] = None,
    input: str | None = None,
    system: str | None = None,
    messages: str | None = None,
    text: str | None = None,
    database: str | None = None,
    gold: str | None = None,
    databases: Path | None = None,
    size: int | None = None,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Make a data folder of your own tables: CSV, TSV, JSON, JSONL or Parquet, each row an example.

    Parameters
    ----------
    paths
        The files.
    out
        The new data folder.
    prompt
        Column of the question; usual names are found by themselves.
    completion
        Column of the answer.
    input
        Column that goes below the question where it isn't empty.
    system
        Column of the system message.
    messages
        Column of whole conversations.
    text
        Column of ready-made text.
    database
        Column that names each row's database, which makes the rows scorable.
    gold
        Column of the right SQL, where it is not the answer.
    databases
        Folder with NAME.sqlite or NAME/NAME.sqlite.
    size
        About so many rows.
    valid_share
        About which share of the rows is kept for validation.
    test_share
        About which share is kept for testing.
    seed
        Determines which rows are taken and how they are split.
    """
    from myna.builders.files import build_files

    if not paths:
        raise UsageError("no files: myna data files FILE… --out DIR")
    return show_built(
        build_files(
            paths,
            out,
            prompt=prompt,
            completion=completion,
            input=input,
            system=system,
            messages=messages,
            text=text,
            database=database,
            gold=gold,
            databases=databases,
            size=size,
            valid_share=valid_share,
            test_share=test_share,
            seed=seed,
        )
    )


def show_built(built: Built) -> dict[str, Any]:
    """Print what was made, and return it for JSON."""
    counts = ", ".join(f"{split} {count:,}" for split, count in built.counts.items())
    say(f"{built.folder}: {counts}")
    for reason, count in built.skipped.items():
        say(f"Left out {count:,}: {reason}")
    for note in built.notes:
        say(f"Note: {note}")
    return built.as_dict()
