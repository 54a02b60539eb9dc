"""`torch.compile` where it works; the model as it is, and a warning that says so, where it does not."""

import logging
from typing import Any

import torch
from torch import nn

from engine.checkpoint import restore_rng, rng_state

log = logging.getLogger("engine")


class Compiled:
    """Calls a module compiled, until that fails for the first time.

    The module itself stays as it is: its weights have the same names in checkpoints, and what looks inside it
    (the audit) or calls it at other shapes (an evaluation) meets no compiled code.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._compiled: Any = torch.compile(module)

    def __call__(self, *inputs: Any) -> Any:
        """What the module gives for the inputs."""
        if self._compiled is None:
            return self._module(*inputs)
        # What a failed attempt draws for dropout must not shift what is drawn after it.
        rng = rng_state()
        try:
            return self._compiled(*inputs)
        except _failures() as error:
            restore_rng(rng)
            self._compiled = None
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            log.warning(
                "train.compile: torch.compile does not work here (%s); training goes on uncompiled. It "
                "needs a C++ compiler for the CPU and Triton for CUDA",
                reason,
            )
            return self._module(*inputs)


def _failures() -> tuple[type[Exception], ...]:
    """What torch.compile raises where it cannot compile."""
    # Imported when something has failed: both take a second.
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    return (TorchDynamoException, CppCompileError, InvalidCxxCompiler)
