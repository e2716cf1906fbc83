"""Lists the files that a model in the format of transformers needs, in a folder or a hub repository."""

import fnmatch
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from worker.errors import ModelError

CONFIG: Final = "config.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
WEIGHTS: Final = "model.safetensors"
WEIGHTS_INDEX: Final = "model.safetensors.index.json"
PICKLE: Final = "pytorch_model.bin"
PICKLE_INDEX: Final = "pytorch_model.bin.index.json"
#: The picture tower that `moderate model export` adds; OpenVINO stores graph and weights separately.
INT8_TOWER: Final = ("picture_tower_int8.xml", "picture_tower_int8.bin")

_SHARDS: Final = "model-*-of-*.safetensors"
PICKLED_SHARDS: Final = "pytorch_model-*-of-*.bin"
#: Formats whose loading can run code from the file.
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: Without one of these transformers creates an empty tokenizer, for which all phrases are equal.
_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
_PREPROCESSING: Final = ("preprocessor_config.json", "processor_config.json")
CONFIGURATIONS: Final = (CONFIG, TOKENIZER_CONFIG, *_PREPROCESSING)
#: Files besides the weights that affect vectors.
_SMALL: Final = (
    *CONFIGURATIONS,
    *_VOCABULARIES,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *INT8_TOWER,
)


def needed(names: Collection[str]) -> list[str]:
    """Return which of a repository's files the model needs: one set of weights, preferably safetensors.

    Files in subfolders are other conversions of the same weights.
    """
    small = [name for name in names if _matches(name, *_SMALL)]
    return sorted({*small, *_needed_weights(names)})


def files_of(folder: Path) -> list[Path]:
    """Return all files of a model that affect vectors: weights, vocabulary, preprocessing; sorted.

    Weights that are not loaded are left out: a shared cache may hold them or not.
    """
    names = needed([file.name for file in folder.iterdir() if file.is_file()])
    if WEIGHTS_INDEX in names:
        names = [name for name in names if not _matches(name, _SHARDS)] + sorted(_shards(folder))
    return sorted({file for name in names if (file := folder / name).is_file()})


def is_pickled(name: str) -> bool:
    """Whether a file holds pickled weights, or is their index."""
    return _matches(name, PICKLE, PICKLE_INDEX, PICKLED_SHARDS)


def check_whole(folder: Path, name: str) -> None:
    """Raise ModelError if the folder of the model `name` lacks weights, image processor or vocabulary."""
    if not any((folder / weights).is_file() for weights in (WEIGHTS, WEIGHTS_INDEX)):
        raise _no_weights(folder, name)
    if not (folder / WEIGHTS).is_file():
        _check_shards(folder, name)
    for what, files in (("image processor", _PREPROCESSING), ("vocabulary", _VOCABULARIES)):
        if not any(file.is_file() for pattern in files for file in folder.glob(pattern)):
            raise ModelError(
                f"the model {name!r} has no {what}: none of {', '.join(files)}",
                hint="copy all its files; a model of only pictures or only text cannot be used",
            )


def pickled_weights(name: str, files: Iterable[str]) -> ModelError:
    """Return the error for a model that has only pickled weights."""
    # A folder's hub id is not known.
    fetched = "ORG/NAME" if Path(name).is_dir() else name
    return ModelError(
        f"the model {name!r} has pickled weights ({', '.join(sorted(files))}), "
        "and loading those can run code",
        hint=f"run `moderate model fetch {fetched} --out FOLDER`, which converts them to safetensors, once, "
        "in a separate process with limits; then set MODERATION_MODEL=FOLDER",
    )


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a model's file; ModelError if there is no such object."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as problem:
        raise ModelError(
            f"{file} is not JSON: {first_line(problem)}", hint="copy the model's files again"
        ) from problem
    except OSError as problem:
        raise ModelError(f"{file} cannot be read: {problem.strerror}") from problem
    if not isinstance(content, dict):
        raise ModelError(f"{file} is not a JSON object", hint="copy the model's files again")
    return content


def first_line(problem: Exception) -> str:
    """Return the first line of an exception's message, or two if the first ends with a colon."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    # The next line says why.
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _matches(name: str, *patterns: str) -> bool:
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _needed_weights(names: Collection[str]) -> list[str]:
    for single, index, shards in (
        (WEIGHTS, WEIGHTS_INDEX, _SHARDS),
        (PICKLE, PICKLE_INDEX, PICKLED_SHARDS),
    ):
        if single in names:
            return [single]
        if index in names:
            return [index, *(name for name in names if _matches(name, shards))]
    return []


def _check_shards(folder: Path, name: str) -> None:
    missing = sorted(shard for shard in _shards(folder) if not (folder / shard).is_file())
    if missing:
        raise ModelError(
            f"the model {name!r} lacks {len(missing)} of its weight files, such as {missing[0]}",
            hint="copy all its files",
        )


def _shards(folder: Path) -> set[str]:
    """Return the names of the weight files that the index in a folder lists."""
    index = folder / WEIGHTS_INDEX
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise ModelError(f"{index} has no weight_map", hint="copy the model's files again")
    return {str(shard) for shard in shards.values()}


def _no_weights(folder: Path, name: str) -> ModelError:
    pickles = [file.name for pattern in _PICKLES for file in folder.glob(pattern)]
    if pickles:
        return pickled_weights(name, pickles)
    return ModelError(
        f"the model {name!r} has no weights: neither {WEIGHTS} nor {WEIGHTS_INDEX}",
        hint="copy all its files; weights of other formats are not loaded, since they can run code",
    )
