"""Why a run failed: rules, the evidence in its logs, the cause and the next command; and checks of this
installation."""
