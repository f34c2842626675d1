"""One language model as a policy: text to tokens, tokens to text, and their log-probabilities."""
