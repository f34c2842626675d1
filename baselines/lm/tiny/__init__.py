"""The embedded language model of 0.16 million parameters: tokenizer, configuration, warm start."""
