"""Export the picture tower to OpenVINO and ONNX Runtime, configured for speed as their documentation says."""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tower import BATCH, Tower, batches
from turns import Way

#: Encodes a batch of prepared pictures.
Encode = Callable[[Any], Any]

OPENVINO, ONNX = ("openvino",), ("onnx", "onnxscript", "onnxruntime")


def missing(packages: Sequence[str]) -> list[str]:
    """Return the packages that are not installed."""
    return [name for name in packages if find_spec(name) is None]


def exported(tower: Tower, folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Way, Encode]]:
    """Yield name, way and encoder of each wanted engine; skip engines that are not installed."""
    module = _Vectors(tower.model)
    for precision, hint in (("float32", "f32"), ("bfloat16", "bf16")):
        name = f"OpenVINO, tower alone, {precision}"
        if wanted(name) and not missing(OPENVINO):
            yield name, *_openvino(module, tower, hint)
    for precision, file in (("float32", "plain"), ("int8, dynamic", "int8")):
        name = f"ONNX Runtime, tower alone, {precision}"
        if wanted(name) and not missing(ONNX):
            yield name, *_onnx(_file(module, tower, folder, file), tower)


class _Vectors(torch.nn.Module):
    """Module that maps prepared pictures to vectors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.get_image_features(pixel_values=pixel_values).pooler_output
        return vectors


def _openvino(module: _Vectors, tower: Tower, hint: str) -> tuple[Way, Encode]:
    import openvino  # noqa: PLC0415 - optional

    shape = [(-1, 3, tower.side, tower.side)]
    converted = openvino.convert_model(module, example_input=tower.noise[:2], input=shape)
    # A queue needs throughput, not latency; with this hint OpenVINO chooses streams and threads.
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint}
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    queue = openvino.AsyncInferQueue(compiled, streams)
    pixels = tower.noise.numpy()

    def encode_all(files: Sequence[Path]) -> None:
        for batch in batches(files):
            queue.start_async({0: pixels[: len(batch)]})
        queue.wait_all()

    return Way(encode_all, BATCH * streams), lambda batch: compiled(batch)[0]


def _file(module: _Vectors, tower: Tower, folder: Path, kind: str) -> Path:
    """Export the tower as an ONNX file: `plain`, or with its weights quantized to `int8`."""
    from onnxruntime.quantization import quantize_dynamic  # noqa: PLC0415 - optional

    plain, small = (folder / f"{name}.onnx" for name in ("plain", "int8"))
    if not plain.exists():
        torch.onnx.export(
            module,
            (tower.noise[:2],),
            str(plain),
            input_names=["pixels"],
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    if kind == "int8":
        quantize_dynamic(str(plain), str(small))
    return small if kind == "int8" else plain


def _onnx(file: Path, tower: Tower) -> tuple[Way, Encode]:
    import onnxruntime  # noqa: PLC0415 - optional

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    pixels = tower.noise.numpy()

    def encode(batch: Any) -> Any:
        return session.run(None, {"pixels": batch})[0]

    def encode_all(files: Sequence[Path]) -> None:
        for batch in batches(files):
            encode(pixels[: len(batch)])

    return Way(encode_all, BATCH), encode


def least_cosine(tower: Tower, encode: Encode) -> float:
    """Return the lowest cosine between an engine's vectors and the tower's."""
    vectors = np.asarray(encode(tower.noise.numpy()), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((vectors * tower.encode(tower.noise).numpy()).sum(axis=1).min())
