"""Commands that judge, submit and show pictures."""
