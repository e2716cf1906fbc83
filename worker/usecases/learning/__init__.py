"""Learning from verdicts: propose, accept, take back."""
