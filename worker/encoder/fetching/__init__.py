"""Downloads a model into a folder, atomically."""
