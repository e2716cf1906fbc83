"""Learning from verdicts: propose, accept, take back; examples that people choose."""
