"""Recognition of a user's audio with a trained model: packing, formats, ONNX export, demo server.

May import decoding, prep and the packages that these may import.
"""
