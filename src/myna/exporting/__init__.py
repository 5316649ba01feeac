"""Handing models on: fused with an adapter, quantised, converted to other programs' layouts."""

from myna.exporting.converting import ConvertResult, convert
from myna.exporting.fusing import FuseResult, fuse
from myna.exporting.quantizing import QuantizeResult, quantize_model

__all__ = ["ConvertResult", "FuseResult", "QuantizeResult", "convert", "fuse", "quantize_model"]
