"""What is told of a real run: its page, and that no rule takes it for a sick one."""

import re

from launcher.diagnosis.rules import rules
from launcher.runfolder.paths import RunFolder
from tests.integration.rehearsal.conftest import RUN


def test_a_rehearsal_s_report_has_its_curves_its_pins_and_its_files(finished, tmp_path):
    page = tmp_path / "report.html"
    done = finished.launcher("report", RUN, "--out", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    names = set(re.findall(r'<span class="name">(.*?)</span>', text))
    assert names >= {"critic/d_loss", "critic/d_acc", "actor/loss", "reward", "actor/kl", "response_length"}
    assert "verl 0.9.1" in text and "model.safetensors" in text
    assert len(re.findall(r'class="bar done"', text)) == 7


def test_no_rule_speaks_of_a_run_that_was_well(finished):
    folder = RunFolder(finished.store)
    logs = {"node": [folder.node_log], "stage": list(folder.path.glob("stages/*/log.txt")), "events": [folder.events]}
    assert len(logs["stage"]) == 7
    for kind, paths in logs.items():
        for path in paths:
            text = path.read_text(errors="replace")
            assert [rule.name for rule in rules() if kind in rule.where and rule.first(text)] == [], path


def test_a_rehearsal_s_status_is_a_page_of_80_columns(finished):
    done = finished.launcher("status", RUN)
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"run {RUN}  finished on local, ")
    assert any(line.startswith("adversarial  d_loss  ") for line in lines)
