"""What is looked at before anything runs or is paid: each check is a function that returns a finding."""
