"""Diagnostic superclasses of PTB-XL, by twelve leads or by one of them."""
