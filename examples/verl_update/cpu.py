"""verl on a CPU: its engines are registered for GPUs alone, but registries and platforms are public."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch
import torch.distributed as dist
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

NUMBERS = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


class Device:
    """What verl asks torch.cuda for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        answers = {
            **dict.fromkeys(NUMBERS, 0),
            "mem_get_info": (1, 1),
            "is_available": True,
            "current_device": 0,
        }
        return lambda *args, **kwargs: answers.get(name)


@PlatformRegistry.register(platform="cpu")
class CPU(PlatformBase):
    """This processor as a platform."""

    device_name = vendor_name = "cpu"
    device_module = Device()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return True

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, index: int) -> None: ...

    def synchronize(self, index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, index: int | None = None) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def nvtx_range(self, message: str) -> Any:
        return contextlib.nullcontext()

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "CPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None: ...


def begin(port: int) -> None:
    """This process as the only one of a group over gloo, with FSDP2 engines registered for it."""
    world = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    os.environ.update(world, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), VERL_PLATFORM="cpu")
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    register = EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device=["cpu"])
    register(FSDPEngineWithLMHead)
    dist.init_process_group("gloo", rank=0, world_size=1)
