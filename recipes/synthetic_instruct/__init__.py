"""Synthetic Instruction Tuner: a model's own instructions and answers, filtered, preferred, learnt and measured."""
