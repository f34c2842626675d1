"""The environments inside other people's libraries: one module for each, imported when it is asked for.

    from collm_envs.adapters.gymnasium import SeatEnv
    from collm_envs.adapters.trl import environment_factory, rollout
    from collm_envs.adapters.verifiers import environment
    from collm_envs.adapters.openenv import app
    from collm_envs.adapters.comlrl import plug
    from collm_envs.adapters.torchrl import env
    from collm_envs.adapters.rllib import make_env

No module imports its library before one of its functions is called; without the library that call is an
ImportError with the `pip install` to run.
"""
