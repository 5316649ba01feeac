"""Rendering: a tokenizer's chat template and a conversation in, the text out.

Prepares what a template is given as transformers' `apply_chat_template` does. Knows what a conversation is, and nothing
of tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from jinja2 import Template
from jinja2.environment import Environment

from myna.errors import PromptError
from myna.prompts.templates.environment import MeteredEnvironment
from myna.prompts.templates.meter import TooMuchWork, budget

MAX_CHARACTERS = 100_000
"""Of a template; the longest ones of published models have about half of this."""


_ADVICE = "put the template of the model's publisher into the model's folder as chat_template.jinja"


class TemplateError(PromptError):
    """A chat template can't be used, whatever the conversation."""


class TemplateLimitError(TemplateError):
    """A chat template is too long, or does more than writing a conversation can need."""


class TemplateRenderer:
    """Renders the chat templates of one tokenizer; each is compiled once. day: the date that they are told."""

    def __init__(self, tokenizer: Any, day: date) -> None:
        self._tokenizer = tokenizer
        self._day = day
        self._compiled: dict[str, tuple[MeteredEnvironment, Template] | PromptError] = {}
        self._one_at_a_time = threading.Lock()  # a meter counts one rendering

    def render(self, messages: Sequence[Any], tools: Sequence[Any] | None, *, ask: bool) -> str:
        """Return the text of a conversation; with `ask` up to where the next answer begins.

        Raises `TemplateLimitError` for a template that is too long or does too much, and for other templates whatever
        they end in.
        """
        template = self._tokenizer.get_chat_template(tools=tools)
        if not messages:
            raise ValueError("a conversation needs at least one message")
        if any(not isinstance(tool, Mapping) for tool in tools or ()):
            raise ValueError("a tool is described by a JSON object")
        variables: dict[str, Any] = {
            **self._tokenizer.special_tokens_map,
            "messages": _prepared(messages),
            "tools": tools,
            "documents": None,
            "add_generation_prompt": ask,
        }
        with self._one_at_a_time:
            try:
                environment, compiled = self._template(template)
                environment.meter.left = budget(variables.values())
                return compiled.render(variables)
            except TooMuchWork:
                raise TemplateLimitError(
                    "the model's chat template does more than writing this conversation can need, and was stopped; "
                    f"{_ADVICE}"
                ) from None

    def _template(self, text: str) -> tuple[MeteredEnvironment, Template]:
        if text not in self._compiled:
            try:
                self._compiled[text] = _compiled(text, self._day)
            except PromptError as error:  # is kept too: looking at it once more for each conversation would take long
                self._compiled[text] = error
        known = self._compiled[text]
        if isinstance(known, PromptError):
            raise known
        return known


def _compiled(text: str, day: date) -> tuple[MeteredEnvironment, Template]:
    if len(text) > MAX_CHARACTERS:
        raise TemplateLimitError(
            f"the model's chat template has {len(text)} characters, more than the {MAX_CHARACTERS} that are accepted; "
            f"{_ADVICE}"
        )
    environment = MeteredEnvironment(_transformers_environment(), day)
    try:
        return environment, environment.compiled(text)
    except Exception as error:  # of Jinja's parser, or of Python's when the template is nested too deeply
        reason = str(error) or type(error).__name__
        raise TemplateError(f"the model's chat template can't be compiled: {reason}; {_ADVICE}") from error


def _prepared(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages as templates expect them: without keys that hold nothing, and with the reasoning under
    each of the names that templates look for."""
    from transformers.utils import chat_template_utils

    prepared = [{key: value for key, value in message.items() if value is not None} for message in messages]
    alias = getattr(chat_template_utils, "_alias_reasoning_fields", None)  # older versions lack it
    return prepared if alias is None else list(alias(prepared))


@cache
def _transformers_environment() -> Environment:
    """Return the environment in which transformers compiles chat templates, with its filters, functions and tags."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    environment: Environment = _compile_jinja_template("").environment
    return environment
