"""Starts SkyRL's Tinker server with its JAX back end, run by a Python that has `skyrl` and no PyTorch.

    PYTHON skyrl_server.py --base-model FOLDER --backend jax --port 8300 ...

The server starts its engine through `uv run`; here it is this file again, with the word `engine` before the
engine's flags.  Of PyTorch the JAX back end needs names of types alone, of peft a file of settings.
"""

import json
import sys
from pathlib import Path
from types import ModuleType


class LoraConfig:
    """What the server saves beside an adapter."""

    def __init__(self, **settings):
        self.settings = settings

    def save_pretrained(self, folder):
        Path(folder, "adapter_config.json").write_text(json.dumps(self.settings))


def stand_in(name, **contents):
    sys.modules[name] = module = ModuleType(name)
    vars(module).update(contents)


def main():
    import transformers  # before the stand-ins: it asks which of its back ends are there

    assert not transformers.is_torch_available()
    stand_in("torch", Tensor=type("Tensor", (), {}), dtype=type("dtype", (), {}))
    stand_in("peft", LoraConfig=LoraConfig)
    if sys.argv[1] == "engine":
        from skyrl.tinker import engine

        del sys.argv[1]
        engine.main()
        return
    import argparse

    import uvicorn
    from skyrl.tinker import api
    from skyrl.tinker.config import EngineConfig, add_model, config_to_argv

    api._build_uv_run_cmd_engine = lambda parent, config: [
        *(sys.executable, __file__, "engine"),
        *config_to_argv(config),
    ]
    parser = argparse.ArgumentParser()
    add_model(parser, EngineConfig)
    parser.add_argument("--port", type=int)
    flags = vars(parser.parse_args())
    own = {name: value for name, value in flags.items() if name in EngineConfig.model_fields}
    api.app.state.engine_config = EngineConfig.model_validate(own)
    uvicorn.run(api.app, host="127.0.0.1", port=flags["port"], log_level="warning")


if __name__ == "__main__":
    main()
