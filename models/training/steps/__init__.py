"""Methods of training or compression for any architecture, each with its own command
(`ecgwatch train --method`).
"""
