"""In which numbers the picture tower computes: as asked for, or as the processor truly can."""

import logging

import torch

log = logging.getLogger(__name__)

#: Whatever multiplies bfloat16 in hardware; without it the same numbers come out, several times slower.
_HARDWARE = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def dtype_for(asked: str) -> torch.dtype:
    """Return the type for `float32`, `bfloat16` or `auto`: bfloat16 where the processor has it.

    Never float16, in which a processor is slower by ten times and more.
    """
    if asked == "auto":
        return torch.bfloat16 if _has_bfloat16() else torch.float32
    if asked == "bfloat16" and not _has_bfloat16():
        log.warning("this processor has no bfloat16: float32 would be faster")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[asked]


def _has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _HARDWARE)
