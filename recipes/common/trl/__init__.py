"""Training with TRL's trainers as stages: checkpoints that count only when whole, progress, interruption."""
