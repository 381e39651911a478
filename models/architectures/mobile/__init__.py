"""Families made for small devices: inverted residuals, shuffles, compound scaling."""
