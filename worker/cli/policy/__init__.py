"""Commands for policy authors."""
