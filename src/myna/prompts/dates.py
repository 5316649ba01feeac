"""The date in prompts: templates such as Llama 3.2's print today's, which would change what a run learns overnight.

A run's date is fixed when it begins; it is noted with the run and its adapter, and whatever renders prompts for them is
given it.
"""

from __future__ import annotations

_FUNCTION = "strftime_now"
"""The one function of the time that transformers offers to templates."""


def prints_date(template: object) -> bool:
    """Tell whether a chat template, or one of several, can print the date."""
    return _FUNCTION in str(template)
