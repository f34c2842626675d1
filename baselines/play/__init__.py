"""Plays a task with policies: rollouts, trees of episodes, replayed turns, records."""
