"""Selects the device and number format of the picture tower, as requested or as the hardware supports."""

import logging
from collections.abc import Iterable
from typing import Final

import torch

from worker.encoder.towers.picture_tower import CPU
from worker.errors import SettingsError

log = logging.getLogger(__name__)

#: Processor features for bfloat16 in hardware; without them results are the same, several times slower.
_BFLOAT16: Final = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
#: Processor features for int8 without overflow of 16-bit intermediate sums.
_INT8: Final = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dot", "i8mm")


def device_for(requested: str) -> torch.device:
    """Return the device for `cpu`, `cuda`, `mps`, or `auto`: an accelerator if there is one.

    SettingsError if the requested device is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if requested == "auto":
        requested = next(name for name, is_available in available.items() if is_available)
    if not available[requested]:
        raise SettingsError(
            f"MODERATION_DEVICE is {requested}, but PyTorch {torch.__version__} finds no such device here",
            hint="install the driver and a build of PyTorch for it, or set MODERATION_DEVICE=auto",
        )
    return torch.device(requested)


def dtype_for(requested: str, device: torch.device = CPU) -> torch.dtype:
    """Return the type for `float32`, `bfloat16` or `auto`: bfloat16 if the hardware supports it.

    Never float16, which is at least ten times slower on a processor.
    """
    if requested == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if requested == "bfloat16" and not _has_bfloat16(device):
        log.warning("this hardware has no bfloat16: float32 would be faster")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[requested]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return False
    return _has_any(_BFLOAT16)


def has_int8() -> bool:
    """Whether the processor multiplies int8 in hardware; without it vectors differ."""
    return _has_any(_INT8)


def _has_any(names: Iterable[str]) -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in names)
