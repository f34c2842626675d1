"""ArXiv: the score compares the two paragraphs; without agent `me` the other meets the text of silence."""


def baseline(ctx, feat, me):
    """What silence earns and what each other agent's text adds to it; paragraphs of more agents add up."""
    gain = sum(alone - ctx["silent"] for alone in feat["reward"])
    return max(ctx["worst"], min(ctx["best"], ctx["silent"] + gain))
