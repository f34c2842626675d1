"""Asks a language model for credit functions, then checks, measures and ranks them (QLLM's loop)."""
