"""Endpoints for the stored past of a patient: signal, events, measures and the report."""
