"""A student taught by a larger network beside its labels: one file per scheme."""
