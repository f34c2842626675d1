"""Text tasks that only trainers need."""
