"""The composition root: assembles services from settings; the only place that names every adapter."""
