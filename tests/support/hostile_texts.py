"""Texts that are made to cost a parser time or memory."""

HUGE = "9" * 5000


def hostile(size):
    """Texts of about `size` characters that are made to cost time or memory, by name."""
    odd = ["/setblock ٠ ٠ ٠ stone", "𝟘" * size, "\x00\x0b\x1c", "/ｓｅｔｂｌｏｃｋ 0 0 0 air"]
    return {
        "huge numbers": f"/setblock {10**4000} 0 0 stone\n/fill {10**4000} 0 0 0 0 0 stone",
        "numbers beyond int": f"/setblock {'9' * size} 0 0 stone\n/fill {'9' * size} 0 0 0 0 0 stone",
        "many huge numbers": f"/fill {HUGE[:4300]} 0 0 0 0 0 stone\n" * (size // 4330),
        "many commands": "/setblock 0 0 0 stone\n" * (size // 22),
        "many fills": "/fill 0 0 0 5 6 6 air\n" * (size // 22),
        "many kills": "/kill\n" * (size // 6),
        "one word": "x" * size,
        "blanks": " " * size,
        "line ends": "\n" * size,
        "marks": "-*" * (size // 2),
        "digits": "1" * size + ".",
        "fences": "```" * (size // 3),
        "a long language": "```" + "a" * (size // 2) + " " * (size // 2) + "b```",
        "drawn rows": "4 12121212\n" * (size // 11),
        "a long drawn row": "4 " + "1" * size,
        "terse boxes": "00050A\n" * (size // 7),
        "unicode": "\u2028".join(odd),
    }
