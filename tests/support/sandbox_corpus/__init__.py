"""Programs that try to win without working, to break out, to break the grader; and odd but honest ones."""
