"""No deadline for a single example: a busy machine must not fail a law."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
