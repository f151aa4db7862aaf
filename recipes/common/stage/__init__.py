"""What every stage shares: its command, settings and inputs, whole files, the journal, parallel processes."""
