"""Builds ICC profiles from primaries and transfer curves: all colour metadata is applied in this one way."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

#: CIE x and y of white, red, green and blue.
Primaries = Sequence[float]

#: D65, and the primaries of ITU-R BT.709 and sRGB.
SRGB_PRIMARIES: Final = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
#: ICC's connection space, ICC.1:2022 7.2.16.
_D50: Final = np.array([0.9642, 1.0, 0.8249])
#: ICC.1:2022 annex E.3.
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_LARGEST: Final = 32_767.0

#: Code points of ITU-T H.273, table 2, that Chromium supports.
_PRIMARIES: Final[dict[int, Primaries]] = {
    1: SRGB_PRIMARIES,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (0.3127, 0.3290, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}


@dataclass(frozen=True, slots=True)
class _Curve:
    """ICC's parametric curve 3: (a x + b) ** g for x >= d, else c x."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0

    def tag(self) -> bytes:
        values = (min(value, _LARGEST) for value in (self.g, self.a, self.b, self.c, self.d))
        return b"para" + struct.pack(">IHH", 0, 3, 0) + b"".join(map(_fixed, values))


_SRGB_CURVE: Final = _Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
#: ITU-R BT.1886, the curve of screens for video; browsers do not invert the curve of cameras.
_VIDEO_CURVE: Final = _Curve(2.4)
#: Code points of ITU-T H.273, table 3; 16 and 18 are tables.
_CURVES: Final = {
    1: _VIDEO_CURVE,
    4: _Curve(2.2),
    5: _Curve(2.8),
    6: _VIDEO_CURVE,
    7: _Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0912),
    8: _Curve(1.0),
    11: _VIDEO_CURVE,
    13: _SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
    17: _Curve(2.6, (52.37 / 48) ** (1 / 2.6)),
}
_PQ, _HLG = 16, 18
_TABLE_ENTRIES: Final = 4096
#: ITU-R BT.2408: luminance of diffuse white in both.
_WHITE_NITS: Final = 203.0
#: Tone mapping of Chromium 156: from light, 1 at diffuse white, to a screen whose maximum is that.
_LIGHT: Final = (0, 1.04, 1.4316, 1.8334, 2.3548, 3.0319, 3.9115, 4.926)
_SHOWN: Final = (0, 0.52, 0.6376, 0.7157, 0.7913, 0.8632, 0.9387, 1)


def gamma_profile(gamma: float, primaries: Primaries = SRGB_PRIMARIES) -> bytes | None:
    """Return the profile for PNG's gAMA, the exponent of the encoding; None if it is invalid."""
    return _profile(primaries, _Curve(1 / gamma).tag()) if gamma > 0 else None


def cicp_profile(primaries: int, transfer: int) -> bytes | None:
    """Return the profile for two code points of ITU-T H.273; None if browsers ignore them."""
    known = _PRIMARIES.get(primaries)
    if known is None or not (transfer in _CURVES or transfer in {_PQ, _HLG}):
        return None
    return _profile(known, _CURVES[transfer].tag() if transfer in _CURVES else _table(transfer))


def _profile(primaries: Primaries, curve: bytes) -> bytes | None:
    matrix = _to_d50(primaries)
    if matrix is None:
        return None
    tags = {b"wtpt": _xyz(_D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    at = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", at + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    size = at + len(content)
    head = struct.pack(">I4sI", size, b"", 0x04000000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    head += bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + content


def _to_d50(primaries: Primaries) -> np.ndarray | None:
    """Return the matrix from linear RGB to XYZ at D50 (SMPTE RP 177, then Bradford); None if none exists."""
    xy = np.array(primaries, float).reshape(4, 2)
    if (xy < 0).any() or (xy > 1).any() or not xy[0, 1]:
        return None
    xyz = np.column_stack([xy, 1 - xy.sum(axis=1)]).T
    white, colours = xyz[:, 0] / xy[0, 1], xyz[:, 1:]
    try:
        matrix = colours * np.linalg.solve(colours, white)
        adapted = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD)
    except np.linalg.LinAlgError:
        return None
    result = adapted @ matrix
    return result if np.isfinite(result).all() and np.abs(result).max() < _LARGEST else None


def _table(transfer: int) -> bytes:
    encoded = np.linspace(0, 1, _TABLE_ENTRIES)
    shown = np.interp(_pq(encoded) if transfer == _PQ else _hlg(encoded), _LIGHT, _SHOWN)
    levels: bytes = np.rint(shown * 65_535).astype(">u2").tobytes()
    return b"curv" + struct.pack(">II", 0, _TABLE_ENTRIES) + levels


def _pq(encoded: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100's perceptual quantiser, 1 at diffuse white."""
    root = encoded ** (32 / 2523)
    nits = 10_000 * (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16_384 / 2610)
    return nits / _WHITE_NITS


def _hlg(encoded: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100's hybrid log-gamma, 1 at diffuse white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)
    return 1000 * scene**1.2 / _WHITE_NITS


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65_536))
