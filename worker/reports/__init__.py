"""Reports of a comparison, a hunt, a scan or an evaluation: self-contained HTML files and JSON."""
