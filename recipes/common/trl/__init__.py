"""Training with TRL's trainers as stages: complete checkpoints, progress, interruption."""
