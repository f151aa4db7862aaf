"""The commands that the launcher runs before anything is paid: settings, chat templates, memory."""
