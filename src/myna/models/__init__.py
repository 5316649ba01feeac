"""A base model on disk and the adapters on top of it: finding, reading, describing and writing them."""
