"""The composition root: from settings to what is assembled; the only place that names every adapter."""
