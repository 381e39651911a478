"""The InceptionFormer family: multi-kernel depthwise stages, then attention; its mixers, its
variants, and the SandwichNets.
"""
