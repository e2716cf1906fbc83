"""A fake encoder of two-dimensional vectors, for unit tests of what wraps encoders."""

import numpy as np

from worker.encoder.protocol import ModelInfo
from worker.images.preprocessing import Preprocessing


class FakeEncoder:
    """Encodes each picture as [7, 7] and each text as [3, 3]; a token is a letter."""

    info = ModelInfo(
        name="fake",
        digest="d1",
        precision="float32",
        scale=10.0,
        bias=-1.0,
        pairwise=True,
        dimension=2,
        window=7,
        preprocessing=Preprocessing(3, width=32, height=32),
    )

    def encode_images(self, images):
        return np.full((len(images), 2), 7, np.float32)

    def encode_texts(self, texts):
        return np.full((len(texts), 2), 3, np.float32)

    def encode_captions(self, texts):
        return self.encode_texts(texts)

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def pieces(self, texts):
        return [list(text) for text in texts]

    def vocabulary(self):
        return frozenset({"a"})
