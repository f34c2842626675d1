"""HouseBuild: cells that others get right add up, and the spiders are gone once anybody has killed them."""


def baseline(ctx, feat, me):
    """Row `me` is silent: what the empty plot earns, and what every other agent adds to it."""
    empty = feat["match"][me]
    match = min(1.0, empty + sum(alone - empty for alone in feat["match"]))
    threat = max(reward - match for reward, match in zip(feat["reward"], feat["match"], strict=True))
    return match + threat
