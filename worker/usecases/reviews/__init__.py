"""Claim, show and settle reviews; reverse verdicts; open appeals."""
