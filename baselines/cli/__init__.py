"""The `collm` command: one file a verb, each loaded when it is called."""
