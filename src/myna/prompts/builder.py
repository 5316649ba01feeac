"""The prompt builder: the one function that makes tokens for training, evaluation and generation.

Examples and messages go in; token ids with a loss mask come out. It holds that the tokens of a training prompt are
those the model is asked with, that an answer ends with the end token exactly once and learns it, and that control
tokens come from templates, never from data. Knows no engine and no files of examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from myna.data.example import Example, Message, Source
from myna.data.messages import RecordError, is_learnt, normal_messages
from myna.errors import ModelError, PromptError
from myna.models.configuration import check_configuration
from myna.models.json_files import read_json
from myna.models.tokenizer_files import read_tokenizer
from myna.prompts.applied import AppliedTemplate
from myna.prompts.controls import ControlTokens, is_panic, refusals
from myna.prompts.conversations import TemplateHabits
from myna.prompts.dates import prints_date
from myna.prompts.formats import (
    ChatTemplate,
    Format,
    PlainFormat,
    Rendered,
    prompt_ends,
    render_conversation,
)
from myna.prompts.masking import Masking, windows
from myna.prompts.ready_made import ReadyMade
from myna.prompts.sample import Sample
from myna.prompts.shorten import Shortener
from myna.prompts.stream import StreamDecoder

LongExamples: TypeAlias = Literal["skip", "error", "truncate-prompt"]

_APPLIED_TO_PROMPT = "the model's chat template was applied to prompts already: it is not applied a second time"

_FORMAT = 2
"""Counts up when the same example and tokenizer would give other tokens than before."""


class TooLongError(PromptError):
    """An example is over the most tokens, where that is to be an error (`long_examples`)."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What became of one example.

    samples: one, several windows of a long text, or none. skipped_tokens: the length of what was left out for
    being too long, else None. truncated: its question was shortened. notices: for a person, the same words for
    the same thing in every example, so that they can be counted.
    """

    samples: tuple[Sample, ...]
    skipped_tokens: int | None = None
    truncated: bool = False
    notices: tuple[str, ...] = ()


class PromptBuilder:
    """Makes samples and prompts with one model's tokenizer and chat template."""

    def __init__(self, tokenizer: Any, end_ids: Sequence[int] = (), *, day: date | None = None) -> None:
        """`tokenizer`: a transformers tokenizer with a `tokenizers` backend; see `load`. end_ids: what ends an answer
        besides its end token."""
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._controls = ControlTokens(self._backend.to_str(), tokenizer.all_special_tokens)
        self.has_chat_template = bool(tokenizer.chat_template)
        day = day or date.today()
        self.day: date | None = day if prints_date(tokenizer.chat_template) else None
        """The date that the chat template is told, None when it doesn't ask for it."""
        template = ChatTemplate(tokenizer, day) if self.has_chat_template else None
        self._end, self._end_names = self._find_end(template, end_ids)
        self.end_tokens: frozenset[int] = frozenset(self._controls.ids[name] for name in self._end_names)
        """Ids at which an answer is over."""
        begin = self._find_begin()
        self._chats: Format = template or PlainFormat(self._end, space_before_answers=True)
        self._completions: Format = template or PlainFormat(self._end, space_before_answers=False)
        self._habits = TemplateHabits(self._chats)
        self._applied = None
        if template is not None:
            self._applied = AppliedTemplate(
                template,
                begin=tokenizer.bos_token,
                control_tokens=self._controls.ids,
                end_tokens=self._end_names,
            )
        self._texts = ReadyMade(
            self._controls, begin=begin, end=self._end, end_tokens=self._end_names, applied=self._applied
        )
        begin_id = None if begin is None else self._controls.ids[begin]
        self._masking = Masking(self._controls, begin=begin_id, end_tokens=self.end_tokens)

    @classmethod
    def load(cls, folder: Path, *, day: date | None = None) -> PromptBuilder:
        """Load the tokenizer of a model folder, from its files alone.

        day: the date for templates that print it, that of the run whose prompts are made; None is today's.
        Raises `PromptError` when there is no tokenizer, a file of it is not what it should be, it can't be loaded, or
        it has no end token.
        """
        if not folder.is_dir():
            raise PromptError(f"{folder}: no such folder, expected a model's folder with tokenizer.json")
        if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
            raise PromptError(f"{folder}: no tokenizer.json; copy the tokenizer's files of the base model there")
        try:
            read_tokenizer(folder)  # before a library trusts it
            if (folder / "config.json").exists():  # the library reads it too
                check_configuration(folder / "config.json", read_json(folder / "config.json"))
            end_ids = _configured_end_ids(folder)
        except ModelError as error:
            raise PromptError(str(error)) from error
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except BaseException as error:  # the library raises whatever its readers raise, and its Rust part panics
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            raise PromptError(f"{folder}: the tokenizer can't be loaded: {error}") from error
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise PromptError(f"{folder}: the tokenizer has no tokenizer.json form ({type(tokenizer).__name__})")
        try:
            return cls(tokenizer, end_ids, day=day)
        except PromptError as error:
            raise PromptError(f"{folder}: {error}") from error

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer alone, as the text of a `tokenizer.json`."""
        return str(self._backend.to_str())

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over all that determines the tokens: tokenizer, chat template and the date in it, special, control
        and end tokens."""
        facts = [
            _FORMAT,
            self._backend.to_str(),
            self._tokenizer.chat_template,
            self._tokenizer.special_tokens_map,  # what templates see as bos_token, eos_token …
            sorted(self._control_ids),
            sorted(self.end_tokens),
            *([] if self.day is None else [self.day.isoformat()]),
        ]
        return hashlib.sha256(json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def samples(
        self,
        example: Example,
        *,
        max_tokens: int,
        mask_prompt: bool | None = None,
        long_examples: LongExamples = "skip",
    ) -> Samples:
        """Return the samples of one example.

        `mask_prompt`: learn answers only; None does so for all but `text`. A text over `max_tokens` is split
        into windows in which every token is learnt once; a conversation over it is left out, or what
        `long_examples` says. Raises `PromptError`, with the source line, when the tokenizer or its template
        can't express the example, when nothing of it would be learnt, or when it is too long and that is an
        error.
        """
        try:
            if example.kind == "text":
                return self._text_samples(example, max_tokens, bool(mask_prompt), long_examples)
            return self._conversation_samples(example, max_tokens, mask_prompt is not False, long_examples)
        except PromptError as error:
            raise type(error)(f"{example.source}: {self._controls.plain(str(error))}") from error
        except (RecordError, RecursionError) as error:
            reason = error if isinstance(error, RecordError) else "the conversation is nested too deeply"
            raise PromptError(f"{example.source}: {reason}") from error

    def prompt(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> NDArray[np.int32]:
        """Return the tokens `[tokens]` with which the model is asked for the next answer of a conversation.

        They begin every sample whose example begins with these messages. Without a chat template a lone user
        message is asked as it stands, but for the spaces at its end: the answer begins with them. A lone user message
        to which the chat template was applied already is asked as the conversation that it holds, as in training.
        Raises `PromptError` when the template refuses.
        """
        try:
            normal = self._habits.suited(self._unwrapped_prompt(normal_messages(messages)))
            marked, marked_tools = self._controls.protect(normal), self._controls.protect(tools)
        except (RecordError, RecursionError) as error:
            raise PromptError(str(error) if isinstance(error, RecordError) else "messages nested too deeply") from error
        text = self._chats.render(marked, marked_tools, ask=True)
        prompts = prompt_ends(self._chats, text, marked, marked_tools)
        return np.array(self._masking.encode(text, prompts, begins=self._chats.begins)[0], np.int32)

    def text_prompt(self, text: str) -> NDArray[np.int32]:
        """Return the tokens `[tokens]` of a text that the model is to go on with, without any template.

        Spaces at its end are left to the answer, as in training.
        """
        return np.array(self._masking.encode(self._texts.prompt(text), (), begins=True)[0], np.int32)

    def decode(self, tokens: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the text of generated tokens; control tokens have none."""
        stream = self.stream()
        return "".join([*(stream.push(int(token)) for token in tokens), stream.finish()])

    def stream(self) -> StreamDecoder:
        """Return a decoder for one generated sequence."""
        return StreamDecoder(self._backend)

    def token_text(self, token: int) -> str:
        """Return one token for display: its text, or its name in the tokenizer when it is part of a character."""
        name = self._backend.id_to_token(token)
        if name is None or self.is_control(token):
            return str(name)
        stream = self.stream()
        with refusals():
            before = self._backend.encode("a", add_special_tokens=False).ids
        for each in before[:1]:
            stream.push(each)
        text = stream.push(token)
        return text or str(name)

    def is_control(self, token: int) -> bool:
        """Tell whether a token is control rather than text."""
        return token in self._control_ids

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self._controls.ids.values())

    def _find_end(self, template: ChatTemplate | None, end_ids: Sequence[int]) -> tuple[str, frozenset[str]]:
        """Return the token that ends a text (and an answer, where its template doesn't end it), and all that end
        an answer."""
        of_template = template.end_token(self._controls.ids) if template else None
        named = [self._backend.id_to_token(each) for each in end_ids]
        found = [name for name in (self._tokenizer.eos_token, *named, of_template) if name in self._controls.ids]
        if not found:
            raise PromptError(
                "the tokenizer names no end token, so a model could never stop; set eos_token in tokenizer_config.json"
            )
        return found[0], frozenset(found)

    def _find_begin(self) -> str | None:
        """Return the token that the tokenizer itself puts before a text, if it does."""
        begin = self._tokenizer.bos_token
        with refusals():
            first = self._backend.encode("a").ids[:1]
        return begin if begin in self._controls.ids and first == [self._controls.ids[begin]] else None

    def _text_samples(
        self, example: Example, max_tokens: int, mask_prompt: bool, long_examples: LongExamples
    ) -> Samples:
        rendered = self._texts.read(example.text)
        if mask_prompt:
            if rendered.answers is None:
                raise PromptError(
                    'a "text" has no prompt to mask, unless it is made of [INST] … [/INST] turns; '
                    "use prompt and completion, or learn the whole text with --no-mask-prompt"
                )
            return self._fit([rendered], example.source, max_tokens, long_examples)
        whole = self._masking.sample(replace(rendered, answers=None), example.source)
        if len(whole) <= max_tokens:
            return Samples((whole,), notices=rendered.notices)
        notice = f"texts over {max_tokens} tokens are split into windows"
        return Samples(windows(whole, max_tokens), notices=(*rendered.notices, notice))

    def _conversation_samples(
        self, example: Example, max_tokens: int, masked: bool, long_examples: LongExamples
    ) -> Samples:
        given = normal_messages(example.messages)
        example = replace(example, messages=self._unwrapped(given))
        messages = self._controls.protect(example.messages)
        rendered = self._render(example, messages, masked)
        if example.messages is not given:
            rendered = [replace(each, notices=(*each.notices, _APPLIED_TO_PROMPT)) for each in rendered]
        if long_examples != "truncate-prompt":
            return self._fit(rendered, example.source, max_tokens, long_examples)
        first = self._fit(rendered, example.source, max_tokens, "skip")
        return self._shortened(example, first, max_tokens, masked)

    def _shortened(self, example: Example, first: Samples, max_tokens: int, masked: bool) -> Samples:
        """Shorten questions until the example fits; where the answers alone are too long it stays left out."""
        result, shortener = first, Shortener(example.messages, self._controls.offsets)
        while result.skipped_tokens is not None:
            shorter = shortener.cut(result.skipped_tokens - max_tokens)
            if shorter is None:
                return first
            rendered = self._render(example, self._controls.protect(shorter), masked)
            result = self._fit(rendered, example.source, max_tokens, "skip")
        return replace(result, truncated=result is not first)

    def _unwrapped(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return a question with its answer as messages where the chat template was applied to them already."""
        if self._applied is None or [message["role"] for message in messages] != ["user", "assistant"]:
            return messages
        question, answer = messages
        if question.keys() | answer.keys() != {"role", "content"}:
            return messages
        return self._applied.answered(question["content"], answer["content"]) or messages

    def _unwrapped_prompt(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        if self._applied is None or len(messages) != 1 or messages[0].keys() != {"role", "content"}:
            return messages
        return (messages[0]["role"] == "user" and self._applied.asked(messages[0]["content"])) or messages

    def _render(self, example: Example, messages: Sequence[Message], masked: bool) -> list[Rendered]:
        rendered = render_conversation(
            self._completions if example.kind == "completion" else self._chats,
            self._habits.suited(messages),
            self._controls.protect(example.tools),
            end=self._end,
            end_tokens=self._end_names,
            masked=masked,
            unlearnt=[i for i, each in enumerate(messages) if each["role"] == "assistant" and not is_learnt(each)],
        )
        notices = list(self._habits.left_out(messages, [each.text for each in rendered]))
        if example.tools and not self._takes_tools:
            notices.append("the chat template has no place for tools; they are left out")
        if not notices:
            return rendered
        return [replace(each, notices=(*each.notices, *dict.fromkeys(notices))) for each in rendered]

    @cached_property
    def _takes_tools(self) -> bool:
        return isinstance(self._chats, ChatTemplate) and self._chats.takes_tools()

    def _fit(
        self, rendered: Sequence[Rendered], source: Source, max_tokens: int, long_examples: LongExamples
    ) -> Samples:
        """Make samples; leave out those that are too long, or raise."""
        samples = [self._masking.sample(each, source) for each in rendered]
        if not any(sample.trained.any() for sample in samples):
            raise PromptError("no token of this example would be learnt: it has nothing after its first token")
        longest = max(map(len, samples))
        if longest > max_tokens and long_examples == "error":
            raise TooLongError(
                f"the example has {longest} tokens, over the maximum of {max_tokens}; set --max-seq-length "
                f"{longest}, or --long-examples skip or truncate-prompt"
            )
        fitting = tuple(sample for sample in samples if len(sample) <= max_tokens)
        notices = tuple(dict.fromkeys(notice for each in rendered for notice in each.notices))
        return Samples(fitting, skipped_tokens=longest if longest > max_tokens else None, notices=notices)


def _configured_end_ids(folder: Path) -> list[int]:
    """Return the ids that the configurations of generation and of the model say end an answer; several may."""
    found: list[Any] = []
    for name in ("generation_config.json", "config.json"):
        config = read_json(folder / name) if (folder / name).exists() else {}
        for part in (config, config.get("text_config")):
            configured = part.get("eos_token_id") if isinstance(part, Mapping) else None
            found += configured if isinstance(configured, list) else [configured]
    return list(dict.fromkeys(filter(_is_id, found)))


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31
