"""The review queue: claims, verdicts, appeals, golden items, the audit log."""
