"""Reports of a comparison, a hunt or a scan: self-contained HTML files and JSON."""
