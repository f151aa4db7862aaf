from tests.launcher.conftest import environment, finished_runs, processes, refusal, toy

__all__ = ["environment", "finished_runs", "processes", "refusal", "toy"]
