"""What people read of a comparison or a hunt beside the terminal: self-contained HTML files and JSON."""
