"""moderation-worker: judges uploaded pictures zero-shot, by policies written in YAML."""

__version__ = "0.2.0"
