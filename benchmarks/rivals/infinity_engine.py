"""Serve infinity's engine through a pipe: a JSON line of file names in, a JSON line of vectors out.

    INFINITY_PYTHON benchmarks/rivals/infinity_engine.py FOLDER_OF_THE_MODEL

Runs in a separate virtual environment (numpy < 2, transformers 4), so it imports none of our code.
"""

import asyncio
import json
import os
import sys

from infinity_emb import AsyncEmbeddingEngine, EngineArgs
from PIL import Image

BATCH = 32


async def main() -> None:
    """Answer requests until the pipe is closed."""
    arguments = EngineArgs(
        model_name_or_path=sys.argv[1],
        engine="torch",
        device="cpu",
        dtype="float32",
        batch_size=BATCH,
        model_warmup=False,
    )
    # Libraries print to stdout: answers get a copy of it, and stdout becomes stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = AsyncEmbeddingEngine.from_args(arguments)
    async with engine:
        answers.write('"ready"\n')
        answers.flush()
        while line := await asyncio.to_thread(sys.stdin.readline):
            pictures = [Image.open(file) for file in json.loads(line)]
            vectors, _ = await engine.image_embed(images=pictures)
            answers.write(json.dumps([[float(number) for number in vector] for vector in vectors]) + "\n")
            answers.flush()


asyncio.run(main())
