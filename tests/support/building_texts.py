"""Strategies for texts that a builder may write: commands, almost commands, and anything else."""

from hostile_texts import HUGE
from hypothesis import strategies as st

NAMES = ["stone", "minecraft:obsidian", "air", "planks", "gold_block", "white_concrete", "oak_planks"]
WORDS = [*NAMES, "setblock", "/setblock", "fill", "/FILL", "kill", "/kill", "0", "1", "4", "+2", "-1", "12"]
WORDS += ["~", "^1", "1.0", HUGE, "٣", "1_0"]
LINES = st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)
NUMBER, NAME = st.integers(-1, 6).map(str), st.sampled_from(NAMES)
SETBLOCK = st.tuples(st.just("/setblock"), NUMBER, NUMBER, st.just("0"), NAME).map(" ".join)
FILL = st.tuples(st.just("/fill"), *[NUMBER] * 6, NAME).map(" ".join)
DRAWN = st.from_regex(r"\A[0-9] [1-3a-c.-]{0,14}\Z") | st.from_regex(r"\A[0-7]{5}[A-F-]\Z")
ANY = LINES | SETBLOCK | FILL | DRAWN | st.text(max_size=30) | st.just("/kill")
PREFIX = st.sampled_from(["", "- ", "1. ", "  ", "```", "/", "> "])
TEXTS = st.text(max_size=300) | st.lists(st.builds(str.__add__, PREFIX, ANY), max_size=40).map("\n".join)
