"""Training (stage 7): trainer, training step, losses, optimisers, validation on dev, state, log.

May import models and the packages that models may import.
"""
