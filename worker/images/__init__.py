"""Turns untrusted bytes into pictures that are safe to judge."""
