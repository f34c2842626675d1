"""Divides the team's reward among the agents."""
