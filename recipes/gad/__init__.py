"""Generative adversarial distillation: warmup, then a student trained against a Bradley-Terry discriminator."""
