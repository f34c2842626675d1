"""A run's folder: configuration, steps, logs, checkpoints, the published settings."""
