"""What docs/concepts/threat-model.md claims, each claim shown."""
