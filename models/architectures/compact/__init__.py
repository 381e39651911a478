"""The smallest systems: binary weights, beat templates, mixed kernels of a few channels."""
