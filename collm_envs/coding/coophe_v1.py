"""CoopHE-v1: the same problems without the accidents of the published implementation."""

from __future__ import annotations

from collections.abc import Sequence

from collm_envs.coding.coophe import CoopHE, State
from collm_envs.coding.judge import judge_modules, shared
from collm_envs.coding.problem import Problem, parsed_problem
from collm_envs.coding.prompts import Coder
from collm_envs.coding.verdict import Verdict, honest_reward


class HonestCoopHE(CoopHE):
    """CoopHE without the published accidents: real parsing, separate namespaces, measured use of helpers.

    **What each agent sees.**  As in v0: turn 1 the problem and its own part, turn 2 the `feedback`, and the
    same options.  With two agents the first writes `aux`; with n agents agent k writes `aux_k` for k < n,
    and may call the helpers of those before it; the last one writes the main function and may call all.

    **What each agent writes.**  Python: imports, classes, nested and further functions are kept.  The part
    that counts is the first one, between two fences or the ends of the text, that is Python and defines
    the agent's function, with the earlier parts that define something else; prose around it, an unopened
    closing fence and other line ends are ignored.  Every text is a module of its own, of which the others
    see the one function.  Every module sees what the problem's prompt imports and defines.  A helper that
    does not load is left out.

    **Terse prompts.**  As in v0.

    **Reward**, shared, each turn; range 0 to 4 (3.1 for one agent):

        R = 0.4 defined/helpers + 0.6 [main defined]    the lines below only if main is
          + 0.5 [every text that there is loads]
          + 2 passed/total
          + passed/total (0.25 used/helpers + 0.25 [main adds to them])

    A helper is used if a test that passed fails once its value is replaced by another of the same type, or
    its changes to its arguments are undone.  Main adds something if it uses a helper and no used helper,
    called in place of main, passes as many tests.  The credit for cooperation is small, grows with the
    share of passed tests and does not depend on the wording of the texts.  A main function that detects
    the replacement and fails on purpose can still feign use.
    Example: all defined and loaded, 5 of 10 pass, aux used, main adds: 0.4 + 0.6 + 0.5 + 1.0 + 0.5 * 0.5 =
    2.75.  Metrics as in v0, and `used_rate`.

    **Tests.**  Every assert of check(candidate), in loops too, counts once; repeated ones count once;
    vacuous ones, which name nothing that the candidate returned, do not count.

    **Grading.**  As in v0, and again with each helper or main replaced, to see what they contribute; those
    outcomes are in `Score.verdicts` too, as "without aux" and "aux alone".

    **End.**  As in v0.

    **Data and licence.**  As in v0.

    **Source and where we differ.**  Ours.  From v0: parsing, namespaces, tests and credit as above.

    **Versions.**  v1.
    """

    revision = 2
    best = 4.0
    best_alone = 3.1
    read = staticmethod(parsed_problem)

    def _seat(self, problem: Problem, k: int) -> Coder:
        names = self.names(problem)
        return Coder(k + 1, len(names), names[k], names[:k], k == len(names) - 1, modules=True)

    def names(self, problem: Problem) -> tuple[str, ...]:
        """The function each agent writes."""
        n = len(self.agents)
        helpers = ("aux",) if n == 2 else tuple(f"aux_{k}" for k in range(1, n))
        return (*helpers, problem.entry_point)

    def _judge(self, state: State, texts: Sequence[str]) -> Verdict:
        names = self.names(state.problem)
        return judge_modules(shared(self.backend), state.problem, self.limits, texts, names)

    def _earned(self, problem: Problem, verdict: Verdict) -> tuple[dict[str, float], dict[str, float]]:
        return honest_reward(verdict, len(problem.tests))
