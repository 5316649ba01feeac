"""Examples → samples: tokenizer, chat templates, loss mask, long examples."""
