"""Training: the loop, its guards, checkpoints and the run folder. Knows no task."""
