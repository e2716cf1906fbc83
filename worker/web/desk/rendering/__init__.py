"""Pages, charts and assets."""
