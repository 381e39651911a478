"""Networks that read the window as a sequence: recurrent layers, and attention over tokens of
several origins.
"""
