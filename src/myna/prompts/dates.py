"""The date in prompts: templates such as Llama 3.2's print today's, which would change what a run learns overnight.

A run's date is fixed when it begins; it is noted with the run and its adapter, and whatever renders prompts for them is
given it. Knows how transformers compiles templates, and no messages.
"""

from __future__ import annotations

from datetime import date
from typing import Any

_FUNCTION = "strftime_now"
"""The one function of the time that transformers offers to templates."""


def prints_date(template: object) -> bool:
    """Tell whether a chat template, or one of several, can print the date."""
    return _FUNCTION in str(template)


def fix_date(template: str, day: date) -> None:
    """Let the next rendering of `template` by transformers see `day`, at midnight.

    transformers keeps what it has compiled, one object for each template, and replaces a function that is given to a
    rendering by a text. So the function is put among the globals of that object.
    """
    from transformers.utils.chat_template_utils import _compile_jinja_template

    compiled: Any = _compile_jinja_template(template)
    compiled.globals[_FUNCTION] = day.strftime
