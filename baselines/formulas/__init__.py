"""Arithmetic on tensors that several algorithms share: advantages and losses."""
