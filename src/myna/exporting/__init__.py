"""Handing a trained model on: fusing the adapter into a plain Hugging Face folder."""

from myna.exporting.fusing import FuseResult, fuse

__all__ = ["FuseResult", "fuse"]
