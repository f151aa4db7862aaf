"""Researchers' competency profiles, learnt from preferences that a judge gives in tournaments."""
