"""What is looked at before anything runs or is paid: one check a module, each a function that returns findings."""
