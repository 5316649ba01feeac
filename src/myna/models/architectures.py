"""The architectures that are supported, by the `model_type` of their `config.json`.

CONTRIBUTING.md says what else an architecture needs before it may stand here.
"""

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text")
"""Those whose packed computation is tested against the libraries' own, sample by sample, on both engines, and whose
tensors have the same names and meaning in transformers and in mlx-lm."""
