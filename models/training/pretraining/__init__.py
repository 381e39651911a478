"""Learning without labels: one file per objective, found by its name as architectures are."""
