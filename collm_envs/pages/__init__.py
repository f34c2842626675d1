"""Pages of HTML: an episode, a list of episodes, a report; no external assets."""
