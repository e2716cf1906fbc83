"""Turns bytes from anywhere into pictures that are safe to judge."""
