"""The reference: which modules are public, page by page.  A public object needs a docstring."""

from __future__ import annotations

PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "environments": (
        "Environments",
        {
            "collm_envs": ":imported-members:",
            "collm_envs.record": "",
            "collm_envs.replay": "",
            "collm_envs.testing": "",
            "collm_envs.catalogue": "",
            "collm_envs.render": "",
        },
    ),
    "playing": (
        "Policies and evaluation",
        {"collm_envs.policies": ":imported-members:", "collm_envs.evaluation": ":imported-members:"},
    ),
    "sandbox": ("Sandbox", {"collm_envs.sandbox": ":imported-members:"}),
    "adapters": (
        "Adapters",
        {
            f"collm_envs.adapters.{name}": ""
            for name in ("gymnasium", "trl", "verifiers", "openenv", "comlrl", "torchrl", "rllib")
        },
    ),
    "pages": (
        "Reports and episode pages",
        {"collm_envs.pages.report": "", "collm_envs.pages.chart": "", "collm_envs.pages.episode": ""},
    ),
    "training": (
        "Training",
        {
            f"baselines.{name}": ""
            for name in (
                "train.settings",
                "train.team",
                "train.critic",
                "play.rollout",
                "play.episode",
                "formulas.advantages",
                "formulas.losses",
                "lm.scoring",
                "lm.learning",
                "lm.policy",
                "credit.rules",
                "credit.pinned",
                "runs.algorithms",
                "runs.run",
            )
        },
    ),
    "leaderboard": (
        "Leaderboard",
        {f"leaderboard.{name}": "" for name in ("entry", "lists", "submit", "verify", "history", "build")},
    ),
}
"""page -> (title, {module: further options of Sphinx's automodule})"""


def page(name: str) -> str:
    """A page of the reference in reStructuredText."""
    title, modules = PAGES[name]
    parts = [f"{title}\n{'=' * len(title)}"]
    for module, option in modules.items():
        parts.append(f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}")
        if option:
            parts[-1] += f"\n   {option}"
    return "\n\n".join(parts) + "\n"


def overview() -> str:
    """The first page of the reference in Markdown."""
    pages = "\n".join(PAGES)
    return (
        "# Reference\n\nEvery public class and function, from its docstring. `import collm_envs` needs no "
        f"torch; `baselines` does.\n\n```{{toctree}}\n\n{pages}\n```\n"
    )
