"""What every stage is: a command with settings and inputs, whole files, a journal, and processes beside it."""
