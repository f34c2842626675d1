"""Several agents write one Python program: CoopHE."""
