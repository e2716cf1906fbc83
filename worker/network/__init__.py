"""Reaches servers that strangers name: public addresses alone, within a deadline."""
