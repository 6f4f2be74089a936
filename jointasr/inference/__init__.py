"""Recognition of a user's audio with a trained model: packing, output formats, ONNX, demo server.

May import decoding, prep and the packages that these may import.
"""
