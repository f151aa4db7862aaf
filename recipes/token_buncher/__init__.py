"""Token-Buncher: a defence against harmful reinforcement learning, trained by reinforcement learning."""
