"""Ready-made `text` examples: the markers `<s>`, `</s>`, `[INST] … [/INST]` around them become the real thing.

Such files were written for one tokenizer with its control tokens typed out. A text goes in; marked text comes out in
which the markers at its beginning and end, and those of its instruction turns or of the turns of the model's own chat
template, are this tokenizer's own control tokens; anything else of that kind stays text. What was done is said in
notices. Knows nothing of tokens or lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from myna.errors import PromptError
from myna.prompts.applied import AppliedTemplate, Turns
from myna.prompts.controls import ControlTokens, any_of
from myna.prompts.formats import Answer, Rendered

APPLIED_TO_TEXT = "the model's chat template was applied to texts already: its control tokens are taken as such"

_TURN = re.compile(r"(\s*(?:<s>)?\s*)\[INST\](.*?)\[/INST\](.*?)(?:</s>|(?=\s*(?:<s>)?\s*\[INST\])|\Z)", re.DOTALL)


class ReadyMade:
    """Reads ready-made texts for one tokenizer."""

    def __init__(
        self,
        controls: ControlTokens,
        *,
        begin: str | None,
        end: str,
        end_tokens: Iterable[str],
        applied: AppliedTemplate | None = None,
    ) -> None:
        """`begin`: the token with which this tokenizer begins its texts, if it does; `end`: what ends them; `applied`
        knows the turns of its chat template."""
        self._controls = controls
        self._applied = applied
        self._begin = begin
        self._end = end
        begins = any_of({"<s>", begin} - {None} if begin else {"<s>"}).pattern
        self._leading = re.compile(rf"(?:\s*(?:{begins}))+")
        self._trailing = re.compile(rf"(?:(?:{any_of({'</s>', *end_tokens}).pattern})\s*)+\Z")

    def read(self, text: str) -> Rendered:
        """Return the text with its end token, and the answers of its instruction turns where it has such.

        Raises `PromptError` for a text of nothing but markers.
        """
        body, notices = self._outer(text)
        if not body.strip():
            raise PromptError("the text is empty, or nothing but markers")
        turns = self._turns(body)
        if turns is None and self._applied is not None and (found := self._applied.turns(body)) is not None:
            return self._of_template(found, self._applied.end, notices)
        if turns is None:
            return Rendered(self._data(body, notices) + self._end, begins=True, notices=tuple(notices))
        marked, answers = "", []
        for lead, question, answer in turns:
            marked += self._lead(lead) if marked else ""
            marked += f"{self._marker('[INST]')}{self._controls.protect(question)}{self._marker('[/INST]')}"
            start = len(marked)
            marked += f"{self._controls.protect(answer)}{self._end}"
            answers.append(Answer(start, len(marked), ended=True))
        notices.append(self._instruction_notice())
        prompts = tuple(answer.start for answer in answers)
        return Rendered(marked, begins=True, prompts=prompts, answers=tuple(answers), notices=tuple(notices))

    def prompt(self, text: str) -> str:
        """Return marked text for a model to go on with: without end token, and without spaces at its end."""
        rendered = self.read(text.rstrip(" "))
        text = rendered.text.removesuffix(self._end)
        return text if self._applied is None else text.removesuffix(self._applied.end)

    def _of_template(self, turns: Turns, end: str, notices: list[str]) -> Rendered:
        """Return a text as it is written, in which all but the contents of its turns is control."""
        marked, answers = "", []
        place = len(turns.text) - len(turns.text.lstrip())
        for span in turns.spans:
            marked += turns.text[place : span.start]
            start = len(marked)
            marked += str(self._controls.protect(turns.text[span.start : span.stop]))
            if span.role == "assistant":
                answers.append(Answer(start, len(marked), ended=True))
            place = span.stop
        prompts = tuple(answer.start for answer in answers)
        notices = [*notices, APPLIED_TO_TEXT]
        return Rendered(marked + end, True, prompts, tuple(answers), tuple(notices))

    def _outer(self, text: str) -> tuple[str, list[str]]:
        notices = []
        if leading := self._leading.match(text):
            text = text[leading.end() :]
            kept = "taken as the beginning token" if self._begin else "left out: this tokenizer begins without"
            notices.append(f"{leading[0].strip()} at the beginning of a text is {kept}")
        if trailing := self._trailing.search(text):
            text = text[: trailing.start()]
            notices.append(f"{trailing[0].strip()} at the end of a text is taken as the end token")
        return text, notices

    def _turns(self, body: str) -> list[tuple[str, str, str]] | None:
        """Return lead, question and answer of each turn when the whole text consists of such turns."""
        turns, place = [], 0
        while place < len(body):
            turn = _TURN.match(body, place)
            if turn is None:
                return None
            turns.append((turn[1], turn[2], turn[3]))
            place = turn.end()
        return turns or None

    def _lead(self, lead: str) -> str:
        return lead.replace("<s>", self._begin or "")

    def _marker(self, marker: str) -> str:
        """Return the marker as this tokenizer means it: a control token where it has one, else its characters."""
        return marker if marker in self._controls.ids else str(self._controls.protect(marker))

    def _instruction_notice(self) -> str:
        kind = "control tokens" if "[INST]" in self._controls.ids else "text, as this tokenizer has no such tokens"
        return f"[INST] and [/INST] are taken as {kind}"

    def _data(self, body: str, notices: list[str]) -> str:
        if found := self._controls.find(body):
            notices.append(f"{found} inside a text is taken as plain text; use messages for real turns")
        return str(self._controls.protect(body))
