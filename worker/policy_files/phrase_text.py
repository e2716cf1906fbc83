"""The text of a phrase as the model is given it: one spelling for what looks the same."""

import unicodedata


def normalised(phrase: str) -> str:
    """Return the phrase in Unicode's form NFKC, its white space made single.

    Full-width letters, ligatures and mathematical letters become plain ones, and a letter with a separate
    accent becomes one character: models were trained on those.
    """
    return " ".join(unicodedata.normalize("NFKC", phrase).split())
