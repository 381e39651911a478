"""Measures of a stretch of stored signal and events, for the page: computed when they are asked for."""
