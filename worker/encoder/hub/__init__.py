"""Where a model's files are: a folder, the hub's cache, the hub."""
