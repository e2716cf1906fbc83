"""Suggest changes of a policy from the archive and its verdicts."""
