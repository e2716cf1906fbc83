"""How a policy learns from verdicts: what fits them, whether it helps, and which thresholds follow."""
