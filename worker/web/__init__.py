"""The HTTP API and the review desk (`moderate web`); workers judge the submissions."""
