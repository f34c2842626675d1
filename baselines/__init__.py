"""Reference trainers for language models that learn to work together.  `ls` this folder: a file is an algorithm."""
