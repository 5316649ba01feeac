"""`myna chat`: a conversation with a model in the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from myna.cli.flags import COMMON, Common
from myna.cli.model_flags import MACHINE, MODEL, Machine, ModelAndAdapter, load_model
from myna.cli.sampling_flags import SAMPLING, SamplingChoice, SamplingFlags, speed_lines
from myna.cli.terminal import draw, read_line, read_typed_line, say, show_text

if TYPE_CHECKING:
    from myna.generation import Generation, LanguageModel

_COMMANDS = "/reset begins anew, /quit or Ctrl-D leaves, Ctrl-C stops an answer"


def chat(
    *,
    system_prompt: str | None = None,
    model: ModelAndAdapter = MODEL,
    sampling: SamplingChoice = SAMPLING,
    machine: Machine = MACHINE,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Talk with a model.

    Parameters
    ----------
    system_prompt
        Put before the conversation as the system's message.
    """
    loaded = load_model(model, machine)
    conversation = _Conversation(loaded, sampling, system_prompt)
    if sys.stdin.isatty():
        with suppress(ImportError):  # Windows has none
            import_module("readline")  # from now on input() edits lines and recalls them
        say(_COMMANDS, stream=sys.stderr)
    while (line := _next_line()) is not None:
        words = line.strip()
        if words == "/quit":
            break
        if words == "/reset":
            conversation.reset()
            say("Begun anew.", stream=sys.stderr)
        elif words.startswith("/"):
            say(_COMMANDS, stream=sys.stderr)
        elif words:
            conversation.say(line)
    if conversation.last is not None:
        from myna.engines import choose

        draw(speed_lines(conversation.last, choose(machine.engine).peak_memory_bytes()), sys.stderr)
    return {"messages": conversation.messages}


def _next_line() -> str | None:
    """Return what the user types next, None when there is no more."""
    if not sys.stdin.isatty():
        return read_line()
    try:
        return read_typed_line("> ")
    except EOFError:
        say()
        return None
    except KeyboardInterrupt:
        draw(f"\n{_COMMANDS}", sys.stderr)
        return ""


class _Conversation:
    """The messages so far and who answers them."""

    def __init__(self, model: LanguageModel, flags: SamplingFlags, system_prompt: str | None) -> None:
        self._model = model
        self._flags = flags
        self._system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
        self.messages: list[dict[str, str]] = list(self._system)
        self.last: Generation | None = None

    def reset(self) -> None:
        """Forget all but the system's message."""
        self.messages = list(self._system)

    def say(self, text: str) -> None:
        """Let the model answer `text`; an answer that Ctrl-C stops is kept as far as it came."""
        self.messages.append({"role": "user", "content": text})
        said: list[str] = []

        def on_text(piece: str) -> None:
            said.append(piece)
            show_text(piece, sys.stdout)

        try:
            self.last = self._model.generate(
                self.messages,
                max_tokens=self._flags.max_tokens,
                sampling=self._flags.sampling(),
                on_text=on_text,
            )
        except KeyboardInterrupt:
            show_text(" …", sys.stdout)
        say()
        self.messages.append({"role": "assistant", "content": "".join(said)})
