"""The leaderboard: entries with replayable records, their verification, and the site.  No torch."""
