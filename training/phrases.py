"""Training phrases of the text tower: words in templates, pairs of things, words with an adjective."""

import random
import re

TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}",
    "a photo of {}",
    "a picture of a {}",
    "a picture of {}",
    "an image of a {}",
    "an image of {}",
    "a sticker of a {}",
    "a sticker of {}",
    "a drawing of a {}",
    "a drawing of {}",
    "an emoji of a {}",
    "{} emoji",
    "{} sticker",
    "a cartoon {}",
    "this is a {}",
    "This is a photo of {}.",
    "this is a photo of a {}",
    "there is a {} here",
    "a picture with a {}",
    "a picture containing {}",
    "an image showing {}",
)
ADJECTIVES = (
    "red",
    "blue",
    "green",
    "small",
    "large",
    "old",
    "new",
    "real",
    "toy",
    "broken",
    "open",
    "dangerous",
)
JOINERS = ("{} and {}", "{} with {}", "{} next to {}", "{} on {}", "{} in {}", "{}, {}")


def phrase_of(word: str, rng: random.Random) -> str:
    """Put `word` into a random template."""
    return with_article(rng.choice(TEMPLATES).replace("{}", word))


def with_article(phrase: str) -> str:
    """Turn "a owl" into "an owl"."""
    return re.sub(r"\ba (?=[aeiou])", "an ", phrase)


def compose(words: list[str], count: int, rng: random.Random) -> list[str]:
    """Return compositions: pairs of things, and things with an adjective."""
    pairs = [rng.choice(JOINERS).format(*rng.sample(words, 2)) for _ in range(count // 2)]
    return pairs + [f"{rng.choice(ADJECTIVES)} {rng.choice(words)}" for _ in range(count - len(pairs))]
