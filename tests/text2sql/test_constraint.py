"""A model that is held to a grammar says only what the grammar allows, ends, and is else as free as before."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import sqlglot
from sqlglot import exp
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from myna.databases.schema import Schema
from myna.errors import MissingDependency, PromptError
from myna.generation import LanguageModel, Sampling, load
from myna.prompts.builder import PromptBuilder
from myna.text2sql.constraint import Constrainer
from myna.text2sql.grammar import Values, grammar
from sql_schemas import ODD, SCHOOL, accepts, database, drawn

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "examples" / "stories260K"
SHARED = ROOT.parent / "shared" / "data" / "tokenizers"
TOKENIZERS = [STORIES, *(SHARED / name for name in ("qwen2.5", "llama2", "mistral_v1", "mistral_v3", "minimind"))]
QUERIES = [
    "SELECT Name FROM students WHERE Age = 15",
    "SELECT COUNT(*) FROM students WHERE Name = 'Wang Junjian é 王军建 😀' AND Height > 1.75",
    'SELECT "City" FROM "schools" WHERE "Name" LIKE \'%it\'\'s%\' ORDER BY ID DESC LIMIT 3',
    "SELECT T2.City, AVG(T1.Height) FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID GROUP BY T2.City",
    "SELECT Name FROM students EXCEPT SELECT StudentName FROM visits WHERE Year BETWEEN 2019 AND 2021",
]
PROMPT = "How many students are there?"


def folder_of(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture(scope="module", params=TOKENIZERS, ids=lambda path: path.name)
def tokens_of(request: pytest.FixtureRequest) -> tuple[PromptBuilder, Constrainer]:
    builder = PromptBuilder.load(folder_of(request.param))
    return builder, Constrainer(builder)


@pytest.fixture(scope="module")
def small() -> tuple[PromptBuilder, Constrainer]:
    builder = PromptBuilder.load(STORIES)
    return builder, Constrainer(builder)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load(str(STORIES), dtype="float32")  # a fast bfloat16 would be taken, and draw otherwise


def plain_tokens(builder: PromptBuilder, text: str) -> list[int]:
    return [int(token) for token in builder.text_prompt(text) if not builder.is_control(int(token))]


def names(sql: str) -> tuple[set[str], set[str]]:
    tree = sqlglot.parse_one(sql, dialect="sqlite")
    stars = {column for column in tree.find_all(exp.Column) if isinstance(column.this, exp.Star)}
    columns = {column.name for column in tree.find_all(exp.Column) if column not in stars}
    return {table.name for table in tree.find_all(exp.Table)}, columns


@pytest.mark.parametrize("schema", [SCHOOL, ODD], ids=["school", "odd"])
@pytest.mark.parametrize("path", [STORIES, SHARED / "minimind", SHARED / "llama2"], ids=lambda path: path.name)
def test_whatever_is_drawn_prepares_and_names_only_what_is_there(path: Path, schema: Schema) -> None:
    builder = PromptBuilder.load(folder_of(path))
    answers = drawn(Constrainer(builder), grammar(schema), 60)
    connection = database(schema)
    tables = {table.name for table in schema.tables}
    columns = {column.name for table in schema.tables for column in table.columns}
    for tokens, ended in answers:
        if ended:
            sql = builder.decode(tokens)
            connection.execute(f"EXPLAIN {sql}")
            named = names(sql)
            assert named[0] <= tables
            assert named[1] <= columns
    connection.close()
    # Evenly drawn tokens join four tables with sums of columns, which 256 tokens of single letters may not hold.
    assert sum(ended for _, ended in answers) >= 0.94 * len(answers)


@pytest.mark.parametrize("sql", QUERIES)
def test_what_obeys_the_grammar_is_never_forbidden(tokens_of: tuple[PromptBuilder, Constrainer], sql: str) -> None:
    builder, constrainer = tokens_of
    tokens = plain_tokens(builder, sql)
    constraint = constrainer.hold([grammar(SCHOOL)])([0], 10 * len(tokens))
    for token in tokens:
        (mask,) = constraint.allowed([0])
        assert mask[token >> 5] >> (token & 31) & 1, builder.token_text(token)
        constraint.taken([0], [token])
    (mask,) = constraint.allowed([0])
    assert all(mask[end >> 5] >> (end & 31) & 1 for end in builder.end_tokens)


def test_an_answer_can_end_exactly_where_the_grammar_accepts(small: tuple[PromptBuilder, Constrainer]) -> None:
    builder, constrainer = small
    rules = grammar(SCHOOL)
    sql = "SELECT Name FROM students WHERE Age = 15 ORDER BY Height"
    tokens = plain_tokens(builder, sql)
    constraint = constrainer.hold([rules])([0], 400)
    for position, token in enumerate(tokens):
        (mask,) = constraint.allowed([0])
        may_end = any(mask[end >> 5] >> (end & 31) & 1 for end in builder.end_tokens)
        assert may_end == accepts(constrainer, rules, builder.decode(tokens[:position]))
        constraint.taken([0], [token])


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0)], ids=["greedy", "sampled"])
def test_a_model_that_knows_no_sql_answers_in_sql(model: LanguageModel, sampling: Sampling) -> None:
    hold = Constrainer(model.builder).hold([grammar(SCHOOL)] * 20)
    answers = model.generate_many([PROMPT] * 20, max_tokens=250, sampling=sampling, constraint=hold)
    connection = database(SCHOOL)
    for answer in answers:
        if answer.stopped == "end":
            connection.execute(f"EXPLAIN {answer.text}")
    connection.close()
    assert sum(answer.stopped == "end" for answer in answers) >= 18


def test_each_prompt_is_held_to_its_own_grammar(model: LanguageModel) -> None:
    rules = [
        grammar(SCHOOL, values=Values({("students", name): [name] for name in ("Name", "Age")})),
        grammar(Schema(SCHOOL.tables[1:2])),
        grammar(Schema(SCHOOL.tables[2:])),
    ]
    constrainer = Constrainer(model.builder)
    order = [0, 1, 2, 1, 0] * 4
    hold = constrainer.hold([rules[i] for i in order])
    together = model.generate_many([PROMPT] * len(order), max_tokens=200, constraint=hold)
    for i in range(3):
        alone = model.generate(PROMPT, max_tokens=200, constraint=constrainer.hold([rules[i]]))
        assert {answer.text for k, answer in zip(order, together, strict=True) if k == i} == {alone.text}


def test_a_constraint_that_allows_what_comes_anyway_changes_nothing(model: LanguageModel) -> None:
    free = model.generate("Once upon a time", max_tokens=40)
    anything = "start: /(.|\\n)*/"
    held = model.generate("Once upon a time", max_tokens=40, constraint=_only_text(model, anything))
    assert held.text == free.text


def _only_text(model: LanguageModel, rules: str):  # type: ignore[no-untyped-def]
    # Without an end in sight an answer would be closed before its last token.
    constrainer = Constrainer(model.builder)
    return lambda places, max_tokens: constrainer.hold([rules])(places, 10 * max_tokens)


@pytest.mark.parametrize("begun", [
    "SELECT Name FROM students WHERE Name = 'a",
    "SELECT Name FROM students WHERE Age BETWEEN 12",
    "SELECT Name FROM students WHERE Age IN (SELECT",
    'SELECT T1.Name, T2."Ci',
    "SELECT COUNT(DISTINCT ",
    "SELECT Name, Age FROM students UNION SELECT ",
    "SELECT Name FROM students WHERE (Age = 1",
    "",
])  # fmt: skip
def test_every_beginning_has_an_end(tokens_of: tuple[PromptBuilder, Constrainer], begun: str) -> None:
    builder, constrainer = tokens_of
    matcher = constrainer.matcher(grammar(SCHOOL))
    tokens = plain_tokens(builder, begun) if begun else []
    assert matcher.consume_tokens(tokens) or not tokens
    ending = constrainer.shortest_end(matcher)
    assert ending is not None
    assert accepts(constrainer, grammar(SCHOOL), builder.decode([*tokens, *ending]))


def test_an_answer_ends_before_its_last_token(small: tuple[PromptBuilder, Constrainer]) -> None:
    builder, constrainer = small
    # A text value that would go on for as long as it may.
    constraint = constrainer.hold([grammar(SCHOOL)])([0], 100)
    begun = plain_tokens(builder, "SELECT Name FROM students WHERE Name = 'a")
    answer: list[int] = []
    while not answer or not constrainer.is_end(answer[-1]):
        (mask,) = constraint.allowed([0])
        wanted = begun[len(answer)] if len(answer) < len(begun) else begun[-1]
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
        answer.append(wanted if wanted in allowed else int(allowed[0]))
        constraint.taken([0], answer[-1:])
    assert 70 < len(answer) <= 100
    assert accepts(constrainer, grammar(SCHOOL), builder.decode(answer[:-1]))


def test_a_generation_that_is_given_up_leaves_the_constrainer_usable(model: LanguageModel) -> None:
    constrainer = Constrainer(model.builder)

    def stop(_text: str) -> None:
        raise KeyboardInterrupt

    hold = constrainer.hold([grammar(SCHOOL)])
    with pytest.raises(KeyboardInterrupt):
        model.generate(PROMPT, constraint=hold, on_text=stop)
    assert model.generate(PROMPT, max_tokens=200, constraint=hold).stopped == "end"


def test_without_llguidance_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingDependency, match=r"pip install 'myna\[sql\]'"):
        Constrainer(PromptBuilder.load(STORIES))


def test_a_tokenizer_that_can_not_be_held_is_an_error() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "</s>": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="[UNK]")
    with pytest.raises(PromptError, match="can't be constrained with this model's tokenizer"):
        Constrainer(PromptBuilder(tokenizer, {}))


def test_a_text_that_is_no_grammar_is_an_error(small: tuple[PromptBuilder, Constrainer]) -> None:
    with pytest.raises(PromptError, match="the grammar can't be compiled"):
        accepts(small[1], "start: missing", "a")
