"""A cluster's answer is believed for as long as the site says, by whatever clock."""

import os
import time

import pytest

from launcher.backends.slurm.run_folder import ClusterRunFolder
from launcher.backends.slurm.sbatch import SbatchRun
from launcher.config.slurm import SlurmSite
from launcher.runfolder.paths import RunFolder


@pytest.mark.parametrize(("ago", "asked"), [(1.0, False), (100.0, True), (-86400.0, True)])
def test_an_answer_that_is_old_or_of_a_clock_that_was_set_back_is_asked_for_again(tmp_path, toy, ago, asked):
    queued = SbatchRun(ClusterRunFolder(toy.plan(), RunFolder(tmp_path), SlurmSite(every=60)), ("1-sum",), print)
    queued.answer_file.parent.mkdir()
    queued.answer_file.write_text("before")
    os.utime(queued.answer_file, (time.time() - ago,) * 2)
    queued.look()
    assert (queued.answer_file.read_text() != "before") == asked


def test_a_question_alone_changes_nothing_here(tmp_path, toy):
    """What is written down is believed to have its events beside it; only a look copies them."""
    queued = SbatchRun(ClusterRunFolder(toy.plan(), RunFolder(tmp_path), SlurmSite(every=60)), ("1-sum",), print)
    queued.answer_file.parent.mkdir()
    assert queued.ask().jobs[0].number is None and not queued.answer_file.exists()
    queued.look()
    assert queued.answer_file.exists()
