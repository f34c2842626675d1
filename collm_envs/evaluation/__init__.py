"""What played episodes amount to."""
