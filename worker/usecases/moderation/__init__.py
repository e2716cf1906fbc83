"""Read, judge and record: from a claimed submission to its decision."""
