"""CoopHE (v0 and v1): without `me` the other program stands alone, with the tests it still passes."""


def baseline(ctx, feat, me):
    """What silence earns and what each other agent's text adds to it; programs of more agents add up."""
    gain = sum(alone - ctx["silent"] for alone in feat["reward"])
    return max(ctx["worst"], min(ctx["best"], ctx["silent"] + gain))
