"""The scripts that are written from a plan: what is in them, and what bash does with them."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from launcher.backends.slurm.batch_script import script
from launcher.backends.slurm.groups import Group, ahead, job_groups, job_name, sbatch_value
from launcher.config.slurm import Needs, SlurmSite
from launcher.runfolder.plan import Code, Machine, Plan, Stage

JOB = "toy.1-sum.abc"
TEXT = some.text(alphabet=some.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)
HOSTILE = some.one_of(
    TEXT, some.sampled_from(["$(touch x)", "`x`", "'; exit 9; '", '"', "-rf", "a\nb", "..", "é ü", "\\"])
)
NAME = HOSTILE.filter(lambda name: name not in ("", ".", "..") and "/" not in name and len(name.encode()) < 200)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def plan(*stages, grace=60, **machine):
    made = tuple(Stage(name, ("python", "x"), grace=grace) for name in stages or ("sum",))
    return Plan("toy", "toy-tiny", made, made[-1].name, Code("0"), Machine("slurm", **machine))


def text(site=None, *stages, **machine):
    site = site or SlurmSite()
    whole = plan(*stages, **machine)
    return script(whole, job_groups(whole, site)[0], site, JOB)


def test_neighbours_that_ask_for_the_same_share_a_job():
    site = SlurmSite(partition="gpu", stages={"c": {"partition": "cpu"}})
    found = job_groups(plan("a", "b", "c", "d"), site)
    assert [(one.name, one.stages) for one in found] == [("1-a", ("a", "b")), ("2-c", ("c",)), ("3-d", ("d",))]


def test_gpus_are_the_job_file_s_unless_the_site_says_otherwise():
    wanted = plan("a", "b", accelerators=("H100:8", "A100:8"))
    assert [one.needs.gres for one in job_groups(wanted, SlurmSite())] == ["gpu:8"]
    assert [one.needs.gres for one in job_groups(wanted, SlurmSite(gres="gpu:h100:8"))] == ["gpu:h100:8"]
    assert [one.needs.gres for one in job_groups(wanted, SlurmSite(stages={"b": {"gres": None}}))] == ["gpu:8", None]
    assert [one.needs.gres for one in job_groups(plan("a"), SlurmSite())] == [None]


def test_a_script_s_head_reads_as_one_would_write_it():
    site = SlurmSite(partition="gpu_h100", account="p-1", time="2-00:00:00", options={"mem": "10G", "exclusive": True})
    head = text(site, accelerators=("H100:4",), nodes=2).partition("\n\n")[0]
    assert head.splitlines() == [
        "#!/bin/bash",
        "#SBATCH --job-name=toy.1-sum.abc",
        "#SBATCH --partition=gpu_h100",
        "#SBATCH --account=p-1",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --gres=gpu:4",
        "#SBATCH --time=2-00:00:00",
        "#SBATCH --mem=10G",
        "#SBATCH --exclusive",
        "#SBATCH --output=slurm/%x.out",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:TERM@90",
    ]


def test_the_signal_comes_before_the_longest_grace_of_the_job_and_leaves_time_to_work(refusal):
    group = Group(1, ("a",), Needs(time="10"), 100)
    assert ahead(group, SlurmSite()) == 130
    assert ahead(group, SlurmSite(ahead=45)) == 45
    short = Group(1, ("a",), Needs(time="4"), 100)
    assert refusal(ahead, short, SlurmSite()) == (
        "error: site.yaml: `slurm.time` is `4` for stage `a`, and the last 130 s of it are for its checkpoint\n\n"
        "hint: allow a longer `time`, or set `slurm.ahead` to fewer seconds"
    )


@given(HOSTILE.filter(lambda word: word.isprintable()))
def test_an_escaped_value_has_no_blank_quote_or_comment_that_is_not_behind_a_backslash(word):
    rest = sbatch_value(word)
    plain = ""
    while rest:
        if rest[0] == "\\":
            plain, rest = plain + rest[1], rest[2:]
        else:
            assert not rest[0].isspace() or ord(rest[0]) > 127
            assert rest[0] not in "#'\""
            plain, rest = plain + rest[0], rest[1:]
    assert plain == word


def test_a_job_s_name_says_run_and_stage():
    assert job_name(plan("sum"), Group(1, ("sum",), Needs(), 60), "abc") == JOB
