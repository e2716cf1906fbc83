"""Where the picture tower computes, and in which numbers: as asked for, or as the machine truly can."""

import logging
from collections.abc import Iterable
from typing import Final

import torch

from worker.encoder.towers.picture_tower import CPU
from worker.errors import SettingsError

log = logging.getLogger(__name__)

#: Whatever multiplies bfloat16 in hardware; without it the same numbers come out, several times slower.
_BFLOAT16: Final = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
#: Whatever multiplies int8 without losing what overflows 16 bits between two steps.
_INT8: Final = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dot", "i8mm")


def device_for(asked: str) -> torch.device:
    """Return the device for `cpu`, `cuda`, `mps`, or `auto`: an accelerator where there is one.

    SettingsError where the one that is asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        asked = next(name for name, is_there in there.items() if is_there)
    if not there[asked]:
        raise SettingsError(
            f"MODERATION_DEVICE is {asked}, but PyTorch {torch.__version__} finds no such device here",
            hint="install the driver and a build of PyTorch for it, or set MODERATION_DEVICE=auto",
        )
    return torch.device(asked)


def dtype_for(asked: str, device: torch.device = CPU) -> torch.dtype:
    """Return the type for `float32`, `bfloat16` or `auto`: bfloat16 where the hardware has it.

    Never float16, in which a processor is slower by ten times and more.
    """
    if asked == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if asked == "bfloat16" and not _has_bfloat16(device):
        log.warning("there is no bfloat16 in this hardware: float32 would be faster")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[asked]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return False
    return _has_any(_BFLOAT16)


def has_int8() -> bool:
    """Return whether the processor multiplies int8 in hardware; without it other vectors come out."""
    return _has_any(_INT8)


def _has_any(names: Iterable[str]) -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in names)
