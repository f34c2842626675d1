"""A program inside WebAssembly: CPython as a wasm component, run by wasmtime in the child of a zygote.

The machine is made once, in the zygote; every child gets a fresh copy by fork.  The component has clocks and
random numbers, and no file, argument, environment or network.
"""

from __future__ import annotations

import marshal
from typing import Any

import wasmtime  # pyright: ignore[reportMissingImports]
from wasmtime import component  # pyright: ignore[reportMissingImports]

ADDRESS_SPACE = 64 << 30
"""bytes a child may reserve: wasmtime keeps guard regions of several GB around a memory"""
STACK = 2 << 20
WORLD = """
package collm:sandbox;
world box {
  export load: func(job: list<u8>) -> list<u8>;
  export call: func(call: list<u8>) -> list<u8>;
}
"""
MARSHAL = 4
"""the version of the format that every supported interpreter reads"""


def engine() -> wasmtime.Engine:
    """The engine that a build is compiled for and run by; their settings must be the same."""
    config = wasmtime.Config()
    config.max_wasm_stack = STACK
    return wasmtime.Engine(config)


class Machine:
    """Implements `child.Box`.  A trap ends the child, as a crash would."""

    def __init__(self, build: str, memory: int) -> None:
        """`build` is a file made by `collm_envs.sandbox.build`; `memory` in bytes."""
        machine = engine()
        store = wasmtime.Store(machine)
        store.set_limits(memory_size=memory)
        store.set_wasi(wasmtime.WasiConfig())
        linker = component.Linker(machine)
        linker.add_wasip2()
        instance = linker.instantiate(store, component.Component.deserialize_file(machine, build))
        self._store = store
        self._load = instance.get_func(store, "load")
        self._call = instance.get_func(store, "call")

    def load(self, job: dict[str, Any]) -> bytes:
        return self._load(self._store, marshal.dumps(job, MARSHAL))

    def call(self, i: int, arguments: list[Any], named: dict[str, Any]) -> bytes:
        return self._call(self._store, marshal.dumps((i, arguments, named), MARSHAL))
