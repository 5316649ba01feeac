"""Samples → batches: which samples a step takes (`order`) and how they lie in rows (`rows`, `batch`).

Plain NumPy, seeded and stateless. Knows nothing of tensors, engines or files.
"""
