"""Plays a task with policies: rollouts, the episodes they leave, turns played again, records."""
