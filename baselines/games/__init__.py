"""Small discrete games for value decomposition, by name: `make("two-step")`.

climbing, penalty-0, penalty-25, penalty-100, qtran, two-step      tables with known answers
Foraging-8x8-2p-2f-coop-v3 and every other id of lbforaging         pip install "collm[marl]"
simple-spread                                                       mpe2, pip install "collm[marl]"
StrBuild-v0, HouseBuild-v0                                          an action chooses one of a few texts
package.module:factory                                              any PettingZoo parallel environment
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable

from baselines.games import tables
from baselines.games.game import Game


def simple_spread() -> Game:
    """mpe2's simple_spread with its default three agents."""
    from baselines.games.spread import simple_spread

    return simple_spread()


def text(id: str) -> Callable[[], Game]:
    """A factory of the game on one of our text environments: an action chooses from a list of texts."""

    def factory() -> Game:
        from baselines.games.texts import text_game

        return text_game(id)

    return factory


GAMES: dict[str, Callable[[], Game]] = {
    **{
        name: lambda payoff=payoff: tables.game(tables.matrix(payoff))
        for name, payoff in tables.PAYOFFS.items()
    },
    "two-step": lambda: tables.game(tables.two_step()),
    "simple-spread": simple_spread,
    "StrBuild-v0": text("StrBuild-v0"),
    "HouseBuild-v0": text("HouseBuild-v0"),
}
"""{name: factory of the game}; the game's packages are imported when it is made"""


def make(name: str) -> Game:
    """The game called `name` (see above).  Raises KeyError with the nearest name for an unknown one."""
    if name in GAMES:
        return GAMES[name]()
    if name.startswith("Foraging"):
        from baselines.games.foraging import foraging

        return foraging(name)
    module, colon, factory = name.partition(":")
    if colon:
        return Game(getattr(importlib.import_module(module), factory)())
    near = difflib.get_close_matches(name, GAMES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(GAMES)}"
    raise KeyError(f"no game {name!r}; {hint}")
