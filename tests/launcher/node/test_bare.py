import shutil
import subprocess
import sys
import sysconfig

import pytest

LOOK = """
import sys
sys.path.insert(0, sys.argv[1])
import launcher.node.__main__
for name, module in sorted(sys.modules.items()):
    print(name, getattr(module, "__file__", None) or "-")
"""


def test_the_node_program_needs_nothing_but_the_standard_library(project):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK, str(project)], capture_output=True, text=True, check=True
    )
    loaded = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert "launcher.node.stage" in {name for name, _ in loaded}
    library = sysconfig.get_path("stdlib")
    for name, place in loaded:
        if name == "launcher" or name.startswith(("launcher.node", "launcher.runfolder")):
            continue
        assert name.partition(".")[0] in {*sys.stdlib_module_names, "__main__"}, name
        assert place.startswith((library, "-", "<")) or "lib-dynload" in place, (name, place)
        assert "site-packages" not in place, (name, place)


def python_3_10():
    found = shutil.which("python3.10")
    asked = found and subprocess.run([found, "-c", "pass"], capture_output=True)
    return found if asked and asked.returncode == 0 else None


@pytest.mark.skipif(python_3_10() is None, reason="there is no Python 3.10 here")
def test_the_node_program_answers_in_python_3_10(project):
    words = [python_3_10(), "-I", "-S", "-c", LOOK, str(project)]
    assert "launcher.node.stage" in subprocess.run(words, capture_output=True, text=True, check=True).stdout
