"""Changes weights: settings, teams, critics, updates."""
