"""StrBuild: expect what the others' own blocks earn; two agents' blocks add up, a word is full at `best`."""


def baseline(ctx, feat, me):
    """The all-silent reward and every agent's gain over it; row `me` is silent and gains nothing."""
    gain = sum(alone - ctx["silent"] for alone in feat["reward"])
    return max(ctx["worst"], min(ctx["best"], ctx["silent"] + gain))
