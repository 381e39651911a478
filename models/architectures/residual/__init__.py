"""Residual networks: one backbone, one per lead, one per view of the signal."""
