"""Layers that several systems of the zoo share. Signals are (B, C, 1, T): ONNX Runtime's blocked
kernels serve only 2-D convolutions."""
