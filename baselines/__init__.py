"""Reference trainers for language models that learn to work together: a file is an algorithm."""
