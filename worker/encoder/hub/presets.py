"""Presets: models of photographs to start from, each pinned to a commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Multiplications in the picture tower of `clip-b32` for one picture.
UNIT_COST: Final = 4.4e9


@dataclass(frozen=True, slots=True)
class Preset:
    """A model of photographs, with its purpose and cost."""

    name: str
    hub_id: str
    #: In full: a branch can move, and vectors of two commits are not comparable.
    commit: str
    use: str
    parameters_millions: int
    license: str
    #: Side of the square that a picture is resized to.
    input_pixels: int
    #: Multiplications in the picture tower for one picture, as a multiple of those of `clip-b32`.
    relative_cost: int
    #: Whether this commit has only pickled weights, which only `moderate model fetch` accepts.
    is_pickled: bool = False

    @property
    def pinned(self) -> str:
        """The hub id and commit, in the form of MODERATION_MODEL."""
        return f"{self.hub_id}@{self.commit}"


PRESETS: Final = (
    Preset(
        "clip-b32",
        "openai/clip-vit-base-patch32",
        "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        "to try things out, and on few processors: fast, and misses what is small",
        parameters_millions=151,
        license="MIT",
        input_pixels=224,
        relative_cost=1,
        is_pickled=True,
    ),
    Preset(
        "clip-b16",
        "openai/clip-vit-base-patch16",
        "57c216476eefef5ab752ec549e440a49ae4ae5f3",
        "the same with finer sight, at a moderate cost",
        parameters_millions=150,
        license="MIT",
        input_pixels=224,
        relative_cost=4,
        is_pickled=True,
    ),
    Preset(
        "siglip2-b16",
        "google/siglip2-base-patch16-224",
        "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        "phrases in many languages, at a moderate cost",
        parameters_millions=375,
        license="Apache-2.0",
        input_pixels=224,
        relative_cost=4,
    ),
    Preset(
        "clip-l14",
        "openai/clip-vit-large-patch14",
        "32bd64288804d66eefd0ccbe215aa642df71cc41",
        "the usual choice to begin with; most published figures are of it",
        parameters_millions=428,
        license="MIT",
        input_pixels=224,
        relative_cost=18,
    ),
    Preset(
        "siglip-so400m",
        "google/siglip-so400m-patch14-384",
        "9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
        "sees small things, reads English; wants an accelerator",
        parameters_millions=878,
        license="Apache-2.0",
        input_pixels=384,
        relative_cost=76,
    ),
    Preset(
        "siglip2-so400m",
        "google/siglip2-so400m-patch14-384",
        "e8e487298228002f3d8a82e0cd5c8ea9c567f57f",
        "sees small things, reads many languages; wants an accelerator",
        parameters_millions=1136,
        license="Apache-2.0",
        input_pixels=384,
        relative_cost=76,
    ),
)

#: Hub id and commit of each preset by name.
PINNED: Final[Mapping[str, str]] = {preset.name: preset.pinned for preset in PRESETS}
