"""Scores that anyone can replay: entries, their verification, and the site made of them.  No torch."""
