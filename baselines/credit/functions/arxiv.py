"""ArXiv: half of what the other paragraph's quality says; the other half hangs on what agent `me` writes.

The score compares two paragraphs.  Expecting all that the other one earns beside a silent partner would be
the leave-one-out truth, and measured noisier than no baseline at all.
"""


def baseline(ctx, feat, me):
    """What silence earns and half of what every other agent's text adds to it."""
    gain = sum(alone - ctx["silent"] for alone in feat["reward"])
    return ctx["silent"] + 0.5 * gain
