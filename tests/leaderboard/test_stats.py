"""Two claims are the same to 1e-9 or the difference is named."""

from leaderboard.claim import first_difference


def test_claims_that_differ_are_named():
    claim = {"score": {"mean": 0.5, "low": 0.4, "high": 0.6, "iqm": 0.5}}
    assert first_difference(claim, claim) == ""
    assert first_difference({"score": {**claim["score"], "high": 0.7}}, claim).startswith(
        "score, high: claimed 0.7"
    )
    assert first_difference({}, claim).startswith("score: claimed None")
    assert first_difference({"score": {**claim["score"], "mean": float("nan")}}, claim)
