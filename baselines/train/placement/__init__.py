"""Policies and critics whose weights are in other processes."""
