"""StrBuild as a taskset of verifiers.

pip install -e examples/strbuild_v1
vf-eval strbuild_v1 -n 20 -m MODEL
"""

from collm_envs.adapters.verifiers import environment, taskset

StrBuildEnv = environment("StrBuild-v0")
StrBuildTasks = taskset("StrBuild-v0")

__all__ = ["StrBuildEnv", "StrBuildTasks"]
