"""Behind `moderate bench`: a temporary deployment, load generation, the cost of each part, advice."""
