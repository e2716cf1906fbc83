"""Explains labels with a model in this process, by the method that fits its picture tower."""

from worker.encoder.explaining.class_activation import ClassActivation
from worker.encoder.explaining.grad_eclip import GradEclip
from worker.encoder.explaining.occlusion import Occlusion
from worker.encoder.explaining.protocol import Cells, Contrast, ExplainedModel, PictureExplainer
from worker.encoder.phrases import encode_phrases
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import Pixels


class ModelExplainer:
    """Explains labels with a loaded model; safe to call from many threads."""

    def __init__(self, encoder: TransformersEncoder) -> None:
        """Choose the method; occlusion fits every model."""
        self._encoder = encoder
        self.by: PictureExplainer = GradEclip.of(encoder) or ClassActivation.of(encoder) or Occlusion(encoder)

    def model(self) -> ExplainedModel:
        """Return what is known of the model."""
        return ExplainedModel(self._encoder.digests, self.by.method, self._encoder.info.preprocessing)

    def explain(self, pixels: Pixels, contrast: Contrast) -> Cells:
        """Return the cells of a prepared picture that speak for the prompt and against the background."""
        phrases = [contrast.prompt, contrast.background]
        vectors = encode_phrases(self._encoder, phrases, contrast.templates)
        prompt, background = (vectors.matrix[vectors.index[phrase]] for phrase in phrases)
        return self.by.explain_image(pixels, prompt - background)
