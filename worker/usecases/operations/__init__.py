"""Check, report, notify and tidy up."""
