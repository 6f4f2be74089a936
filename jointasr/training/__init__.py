"""Stage 7: trainer, losses, optimizers, validation on dev, snapshots, logs.

May import models and the packages that models may import.
"""
