"""Checking: what is wrong with a data folder, before a model learns it. `check(folder)` gives `Findings`.

A data folder (and a model's tokenizer) goes in, findings come out. Changes nothing, and shows secrets masked.
"""

from myna.checking.check import check
from myna.checking.findings import Finding, Findings, Place, SplitSummary, TokenLengths

__all__ = ["Finding", "Findings", "Place", "SplitSummary", "TokenLengths", "check"]
