"""Ways of training, or of making smaller, that apply to any architecture: each a command of its own
(`ecgwatch train --method`).
"""
