"""The picture tower exported to OpenVINO and to ONNX Runtime, as their documentation says it is fastest."""

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
    """Return which of these are not installed."""
    return [name for name in packages if find_spec(name) is None]


def exported(tower: Tower, folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Way, Encode]]:
    """Yield every engine's name, its way, and what encodes one batch; who is not installed is left out."""
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
    """Prepared pictures in, vectors out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output


def _openvino(module: _Vectors, tower: Tower, hint: str) -> tuple[Way, Encode]:
    import openvino  # noqa: PLC0415 - optional

    shape = [(-1, 3, tower.side, tower.side)]
    converted = openvino.convert_model(module, example_input=tower.noise[:2], input=shape)
    # Throughput is what a queue is worked off with; OpenVINO chooses streams and threads then.
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint}
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    queue = openvino.AsyncInferQueue(compiled, streams)
    pixels = tower.noise.numpy()

    def work_off(files: Sequence[Path]) -> None:
        for batch in batches(files):
            queue.start_async({0: pixels[: len(batch)]})
        queue.wait_all()

    return Way(work_off, BATCH * streams), lambda batch: compiled(batch)[0]


def _file(module: _Vectors, tower: Tower, folder: Path, kind: str) -> Path:
    """Return the tower as an ONNX file: `plain`, or its weights quantized to `int8`."""
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

    def work_off(files: Sequence[Path]) -> None:
        for batch in batches(files):
            encode(pixels[: len(batch)])

    return Way(work_off, BATCH), encode


def likeness(tower: Tower, encode: Encode) -> float:
    """Return the least cosine between its vectors and the tower's own."""
    theirs = np.asarray(encode(tower.noise.numpy()), np.float32)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    return float((theirs * tower.encode(tower.noise).numpy()).sum(axis=1).min())
