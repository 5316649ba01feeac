"""Chat templates come from a model's files: real ones are rendered as transformers does, hostile ones are stopped."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from myna.errors import PromptError
from myna.prompts.builder import PromptBuilder
from myna.prompts.templates import MAX_CHARACTERS, TemplateError, TemplateLimitError, TemplateRenderer, rendering
from myna.prompts.templates.meter import budget

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
REAL_CHAT = ["qwen2.5", "minimind", "mistral_v1", "llama2", "mistral_v3"]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "run_sql",
            "description": 'Runs <a> query & returns "rows" — 行',
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "default": 10}},
                "required": ["query"],
            },
        },
    }
]
SYSTEM = {"role": "system", "content": "You write SQL. 数据库"}
ASKED = {"role": "user", "content": "  How many students are there?\n"}
ANSWERED = {"role": "assistant", "content": "SELECT COUNT(*) FROM students"}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"type": "function", "function": {"name": "run_sql", "arguments": {"query": "SELECT 1", "limit": 1}}}
    ],
}
RETURNED = {"role": "tool", "name": "run_sql", "content": "[[1]]"}
THOUGHT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nFour.", "reasoning_content": None}
REASONED = {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."}
CONVERSATIONS = [
    [ASKED],
    [ASKED, ANSWERED],
    [SYSTEM, ASKED, ANSWERED, ASKED],
    [SYSTEM, ASKED, THOUGHT, ASKED, REASONED],
    [ASKED, CALLED, RETURNED, ANSWERED, ASKED, CALLED, RETURNED, RETURNED],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ANSWERED],
    [ASKED, ASKED],
    [ANSWERED],
]

FEATURES = [
    "{{ bos_token }}{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ loop.revindex0 }} {{ loop.first }} "
    "{{ loop.last }} {{ loop.previtem.role }} {{ loop.nextitem.role }} {{ loop.cycle('a', 'b') }} "
    "{{ loop.changed(m.role) }} {{ loop.depth }}"
    "{% if loop.index == 3 %}{% break %}{% endif %}{% else %}-{% endfor %}",
    "{% for k, v in messages[0].items() if v is string %}{{ k ~ '=' ~ v | trim ~ 1 }}{% endfor %}",
    "{% macro show(m, mark='*') %}{{ mark ~ m.role ~ varargs|length ~ kwargs|length }}{% endmacro %}"
    "{% for m in messages %}{{ show(m) }}{{ show(m, '+', 1, 2, x=3) }}{% endfor %}",
    "{% macro wrap() %}<{{ caller('x') }}>{% endmacro %}{% call(a) wrap() %}{{ a }}{{ messages|length }}{% endcall %}",
    "{% set ns = namespace(found=false, n=0) %}{% for m in messages[::-1] %}{% set ns.n = ns.n + 1 %}"
    "{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{{ m.content|upper }}{% endif %}{% endfor %}"
    "{{ ns.n * 2 - 1 }}{{ ns.n / 2 }}{{ ns.n // 2 }}{{ ns.n % 2 }}{{ ns.n ** 2 }}{{ 'ab' * 3 }}{{ [1] + [2] }}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "{{ tools|tojson }}{{ tools|tojson(indent=2) }}{{ tools|tojson(separators=(',', ':'), sort_keys=true) }}"
    "{{ messages|tojson(ensure_ascii=true) }}{{ {'a': [1, none, true, 1.5]}|tojson(indent=1) }}",
    "{{ messages|map(attribute='role')|list }}{{ messages|map(attribute='role')|map('upper')|join(', ') }}"
    "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}"
    "{{ messages|rejectattr('role', 'eq', 'user')|list }}"
    "{{ messages|map(attribute='role')|unique|sort|join('|') }}{{ messages|groupby('role')|list }}"
    "{{ messages|join(';', attribute='role') }}{{ [3, 1, 2]|sort(reverse=true) }}{{ [1, 2]|sum }}{{ [1, 2]|max }}",
    "{{ messages[0]['content'] if 'content' in messages[0] else 'none' }}{{ 'user' in ['user', 'tool'] }}"
    "{{ messages[0].role in ('user', 'system') }}{{ 'stud' in messages[0].content }}"
    "{{ messages[0].missing is defined }}"
    "{{ messages[0] == messages[-1] }}{{ messages[0].role != messages[-1].role }}{{ 1 < 2 <= 2 }}",
    "{{ '%s has %d, %.2f%%' % ('a', 3, 1.5) }}{{ '%s' % 'x' }}{{ '%(a)5s' % {'a': 1} }}"
    "{{ '{} {a:>4}'.format(1, a=2) }}"
    "{{ '%s-%s'|format('a', 'b') }}{{ 'a,b'.split(',') }}{{ 'a b c'.split(maxsplit=1) }}{{ ' a '.strip() }}"
    "{{ 'abc'.replace('b', 'xx')|replace('x', 'y', 1) }}{{ '-'.join(['a', 'b']) }}{{ 'a'.center(5) }}"
    "{{ 'a'|center(5) }}"
    "{{ 'abc'.startswith('a') }}{{ 'x</think>y'.split('</think>')[-1].lstrip('\n') }}{{ 'abc'.rfind('c') }}"
    "{{ 'Ab'|title }}",
    "{{ 'a\nb\n\nc'|indent(2) }}{{ 'a\nb'|indent('--', first=true, blank=true) }}"
    "{{ ['a', 'b', 'c']|batch(2, 'x')|list }}"
    "{{ [1, 2, 3]|slice(2)|list }}{{ 2.567|round(1) }}{{ 'abc'|reverse }}{{ [1, 2]|reverse|list }}"
    "{{ 'a'|list }}{{ -3|abs }}"
    "{{ {'b': 1, 'a': 2}|dictsort }}{{ {'b': 1}|items|list }}{{ {1: 'a', 'b': 2} }}{{ ' x '|trim('x ') }}"
    "{{ '7'|int + 1 }}",
    "{{ dict(a=1, **{'b': 2}) }}{{ dict([['a', 1]]) }}{% set c = cycler('a', 'b') %}{{ c.next() }}"
    "{{ c.next() }}{{ c.current }}"
    "{% set j = joiner('; ') %}{{ j() }}a{{ j() }}b{{ range(3)|list }}{{ range(5, 1, -2)|list }}"
    "{{ messages.count({}) }}",
    "{% filter upper %}a{{ messages[0].role }}{% endfilter %}{% set x %}b{{ messages|length }}{% endset %}{{ x }}"
    "{% with a = 1 %}{{ a }}{% endwith %}{% block b %}c{% endblock %}{{ self.b() }}"
    "{% autoescape true %}{{ '<' ~ '&' }}{% endautoescape %}",
    "{% for p in [[1, [2]], [3]] recursive %}{% if p is iterable %}({{ loop(p) }}){% else %}{{ p }}"
    "{% endif %}{% endfor %}",
    "{{ messages[5:] }}{{ messages[0].content[1:4] }}{{ messages[0].content[::-1] }}{{ messages|first }}"
    "{{ messages|last }}"
    "{{ not messages }}{{ nothing }}{{ nothing|default('d') }}{{ messages[0].get('name', 'x') }}"
    "{{ messages[0].keys()|list }}",
    "{{ '<|im_start|>' + messages[0].role + '\n' + messages[0].content + '<|im_end|>' + '\n' }}{{ 'a' + 'b' ~ 1 + 2 }}",
    "{{ raise_exception('no ' + messages[0].role) }}",
    "{{ messages.append(1) }}",
    "{{ messages.__class__.__mro__ }}",
    "{{ none + 'a' }}",
    "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% endif %}",
]

LOOP, DONE = "{% for i in range(100000) %}", "{% endfor %}"
DOUBLED_LIST = (
    "{% set ns = namespace(a=[1]) %}{% for i in range(200) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"  # 2²⁰⁰ elements
)
COLLIDING = "range(0, 10**23, 2305843009213693951)"  # all have the same hash
HOSTILE = [
    "{{ 9**(9**9) }}",
    "{{ 2 ** -(10**9) }}",
    "{{ 'a' * 3000000000 }}",
    "{{ 3000000000 * [1] }}",
    LOOP * 4 + DONE * 4,
    LOOP + "x" * 1000 + DONE,
    "{% for a in messages[0].content * 1000 %}" * 3 + DONE * 3,
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(100) }}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}" + "{% call m() %}" * 30 + "x" + "{% endcall %}" * 30,
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'.center(10**10) }}",
    "{{ 'a'.ljust(10**10) }}",
    "{% set f = 'a'.rjust %}{{ f(10**10) }}",
    "{{ '1'.zfill(10**10) }}",
    "{{ ('\t' * 1000).expandtabs(10**9) }}",
    "{{ ('a\n' * 1000)|indent(10**8) }}",
    "{{ '%3000000000d' % 1 }}",
    "{{ '%0000000000000000000000000003000000000d' % 1 }}",
    "{{ '%*d' % (3000000000, 1) }}",
    "{{ '%.3000000000f'|format(1) }}",
    "{{ '{:3000000000}'.format(1) }}",
    "{{ ('{0}' * 100000).format('a' * 100000) }}",
    "{{ range(100000)|join('x' * 1000000) }}",
    "{{ ('x' * 1000000).join(['a'] * 1000) }}",
    "{{ (['a' * 1000000] * 100000)|join }}",
    "{{ (',' |safe).join(['&' * 1000000] * 1000) }}",
    "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000)|replace('', 'b' * 100000) }}",
    *(
        f"{DOUBLED_LIST}{{{{ {used} }}}}"
        for used in (
            *("ns.a", "ns", "ns.a|tojson", "ns.a == [ns.a]", "ns.a in [ns.a[0]]", "ns.a ~ ''", "'%s' % [ns.a]"),
            *("[ns.a, 1]|sort", "[ns.a]|join", "ns.a is eq ns.a[0]", "ns.a|string", "raise_exception(ns.a)"),
        )
    ),
    "{% set ns = namespace(a='a') %}{% for i in range(100) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
    "{% set ns = namespace(a=2) %}{% for i in range(100) %}{% set ns.a = ns.a * ns.a %}{% endfor %}",
    "{% set a = 'ab' * 1000000 %}" + LOOP + "{{ 'zz' in a }}{{ a.count('zz') }}{{ a[1:] == a }}" + DONE,
    "{{ ('a' * 1000000).rfind('b' + 'a' * 500000) }}",
    "{{ ('a' * 1000000).strip('b' * 1000000) }}",
    f"{{{{ {COLLIDING}|unique|list }}}}",
    f"{{{{ dict.fromkeys({COLLIDING}) }}}}",
    LOOP + f"{{{{ 'a' in {COLLIDING} }}}}" + DONE,
    "{{ 'a'|batch(10**10, 'x')|list }}",
    "{{ 'a'|slice(10**10)|list }}",
    "{{ 1|round(10**9, 'ceil') }}",
    "{{ ([[1] * 1000] * 10000)|sum(start=[]) }}",
    "{{ messages|tojson(indent=10**9) }}",
    "{{ range(100000)|list|tojson(separators=('x' * 1000, ':')) }}",
    "{{ strftime_now('%Y' * 1000000) }}",
    "{{ cycler('a' * 100000000).next() }}",
    "x" * (MAX_CHARACTERS + 1),
]
REFUSED = [
    "{{ lipsum(n=10**7) }}",
    "{{ '{:{w}}'.format(1, w='3000000000') }}",
    "{{ 'a'.translate({97: 'b' * 1000000}) }}",
    "{{ (5).to_bytes(10**9, 'big') }}",
    "{{ 'a'.encode() }}",
    "{{ ('a ' * 1000000)|wordwrap(1) }}",
    "{{ ('http://a ' * 100000)|urlize }}",
    "{{ (messages|map(attribute='role')).send(1) }}",
    "{{ {'a': 1}.keys() - [1] }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
    "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "{{ 1" + "+1" * 20000 + " }}",
    "{% for a in b %}" * 30 + DONE * 30,
    "{% include 'a' %}",
    "{{ 0x" + "f" * 50000 + " }}",
    "{{ unfinished",
]


class Template:
    """As much of a tokenizer as a renderer asks for."""

    def __init__(self, template: str) -> None:
        self._template = template
        self.special_tokens_map = {"bos_token": "<s>", "eos_token": "</s>"}

    def get_chat_template(self, *, tools: Any) -> str:
        return self._template


def outcome(render: Any) -> str:
    try:
        return str(render())
    except Exception as error:
        return f"refused: {type(error).__name__ if isinstance(error, TypeError) else error}"


def assert_same(tokenizer: Any, messages: list[dict[str, Any]], tools: Any, *, ask: bool) -> None:
    ours = outcome(lambda: TemplateRenderer(tokenizer, date.today()).render(messages, tools, ask=ask))
    theirs = outcome(
        lambda: tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=ask, tokenize=False)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", REAL_CHAT)
def test_real_templates_render_byte_for_byte_as_in_transformers(name: str) -> None:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip("../shared/data is not here")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for messages in CONVERSATIONS:
        for tools in (None, TOOLS):
            for ask in (False, True):
                assert_same(tokenizer, messages, tools, ask=ask)


@pytest.fixture(scope="module")
def plain_tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("template", FEATURES)
def test_what_templates_can_use_works_as_in_transformers(
    template: str, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    plain_tokenizer.chat_template = template
    for messages in CONVERSATIONS:
        assert_same(plain_tokenizer, messages, TOOLS, ask=False)


def test_one_of_several_named_templates_is_chosen_as_in_transformers(plain_tokenizer: PreTrainedTokenizerFast) -> None:
    plain_tokenizer.chat_template = {"default": "plain {{ messages|length }}", "tool_use": "tools {{ tools|length }}"}
    assert_same(plain_tokenizer, [ASKED], None, ask=False)
    assert_same(plain_tokenizer, [ASKED], TOOLS, ask=False)


@pytest.mark.parametrize("template", HOSTILE, ids=lambda template: template[-60:])
def test_a_template_that_would_take_forever_or_all_memory_is_stopped(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "budget", lambda values: budget(values) // 20)  # to be stopped sooner
    renderer = TemplateRenderer(Template(template), date.today())
    with pytest.raises(TemplateLimitError, match=r"chat template .* chat_template\.jinja"):
        renderer.render([ASKED, ANSWERED], None, ask=True)


@pytest.mark.parametrize("template", REFUSED, ids=lambda template: template[:60])
def test_a_template_that_uses_what_has_no_known_cost_is_refused(
    template: str, tmp_path: Path, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    plain_tokenizer.chat_template = template
    plain_tokenizer.save_pretrained(tmp_path)
    builder = PromptBuilder.load(tmp_path)
    with pytest.raises(PromptError, match="chat template"):
        builder.prompt([ASKED])


def test_a_stopped_template_is_reported_when_the_tokenizer_is_loaded(
    tmp_path: Path, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    plain_tokenizer.chat_template = "{{ 9**(9**9) }}"
    plain_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(PromptError, match="does more than writing this conversation"):
        PromptBuilder.load(tmp_path)


def test_a_template_that_does_not_compile_is_compiled_only_once() -> None:
    renderer = TemplateRenderer(Template("{% if a %}"), date.today())
    errors = []
    for _ in range(2):
        with pytest.raises(TemplateError) as caught:
            renderer.render([ASKED], None, ask=True)
        errors.append(caught.value)
    assert errors[0] is errors[1]


def test_the_reason_that_a_template_gives_is_cut_to_a_readable_length(
    tmp_path: Path, plain_tokenizer: PreTrainedTokenizerFast
) -> None:
    plain_tokenizer.chat_template = "{{ raise_exception('no ' * 100000) }}"
    plain_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(PromptError) as caught:
        PromptBuilder.load(tmp_path).prompt([ASKED])
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("name", REAL_CHAT)
def test_real_templates_need_less_than_a_twentieth_of_the_budget(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip("../shared/data is not here")
    renderer = TemplateRenderer(AutoTokenizer.from_pretrained(folder), date.today())
    monkeypatch.setattr(rendering, "budget", lambda values: budget(values) // 20)
    random = np.random.default_rng(0)
    many = [
        {**message, "content": message["content"] * int(random.integers(1, 50))} for message in [ASKED, ANSWERED] * 500
    ]
    for messages in ([ASKED], many):
        renderer.render(messages, TOOLS * 50, ask=True)
