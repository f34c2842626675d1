"""Tasks around a task: words between agents (`talk`), and agents that write one after the other (`order`)."""
