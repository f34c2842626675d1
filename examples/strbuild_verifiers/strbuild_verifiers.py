"""StrBuild as a taskset of verifiers.

pip install -e examples/strbuild_verifiers
vf-eval strbuild_verifiers -n 20 -m MODEL
"""

from collm_envs.adapters.verifiers import environment, taskset

StrBuildEnv = environment("StrBuild-v0")
StrBuildTasks = taskset("StrBuild-v0")

__all__ = ["StrBuildEnv", "StrBuildTasks"]
