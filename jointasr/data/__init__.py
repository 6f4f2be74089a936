"""Kaldi data dirs, lhotse manifests, archives, audio reading, batches, augmentation and VAD.

May import config and the packages that config may import.
"""
