"""Running mean and variance of a stream of numbers, and numbers standardised by them.

Batches are merged by the formula of Chan, Golub and LeVeque (1979), with n and m counts, mu and nu means:

    delta = nu - mu        mu'  = mu + delta m / (n + m)
                           var' = (n var + m var_batch + delta^2 n m / (n + m)) / (n + m)

A stream begins as COUNT numbers of mean 0 and variance 1, as in EPyMARL (Papoudakis et al. 2021,
arXiv:2006.07869): before the first batch standardising changes nothing, and a variance is never 0.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

COUNT = 1e-4
"""weight of the beginning: a ten-thousandth of one number"""


class Moments(NamedTuple):
    """Of all numbers so far."""

    count: float = COUNT
    mean: float = 0.0
    variance: float = 1.0
    """of the population: divided by the count"""


def merged(moments: Moments, numbers: Tensor) -> Moments:
    """The moments with these numbers among those seen.   numbers: any shape, at least one"""
    n, m, x = moments.count, numbers.numel(), numbers.double()
    delta = float(x.mean()) - moments.mean
    squares = n * moments.variance + m * float(x.var(correction=0)) + delta**2 * n * m / (n + m)
    return Moments(n + m, moments.mean + delta * m / (n + m), squares / (n + m))


def standardised(numbers: Tensor, moments: Moments) -> Tensor:
    """(x - mean) / deviation.   any shape -> the same shape"""
    return (numbers - moments.mean) / moments.variance**0.5
