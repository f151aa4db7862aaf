"""What the laptop finds in a run's bucket when the machine is gone."""

import shutil

from launcher.runfolder.plan import Bucket
from launcher.transfer.bucket import BucketFolder

RUN, PROOFS = "toy-tiny", ["stages/sum/done.json", "stages/again/done.json"]


def test_a_laptop_brings_the_export_home_when_the_machine_is_gone(kept, objects, tmp_path, refusal):
    bucket = BucketFolder(objects.bucket, RUN, objects.keys)
    assert refusal(bucket.fetch, "export", tmp_path / "x", print) == (
        f"error: `{objects.bucket.url}` holds no `export` of run `{RUN}`\n\nhint: `launcher status` shows how far it is"
    )
    node = kept.node()
    assert node.run().returncode == 0
    heard = []
    bucket.fetch("export", tmp_path / "home/export", heard.append)
    bucket.fetch("manifest.json", tmp_path / "home/manifest.json", heard.append)
    assert (tmp_path / "home/export/total.txt").read_text() == str(kept.total)
    assert (tmp_path / "home/manifest.json").read_bytes() == node.folder.manifest.read_bytes()
    assert sum(heard) == sum(path.stat().st_size for path in (tmp_path / "home").rglob("*") if path.is_file())


def test_a_stage_that_is_forgotten_is_done_again(kept, objects):
    bucket = BucketFolder(objects.bucket, RUN, objects.keys)
    assert kept.node().run().returncode == 0
    bucket.forget(["again"])
    assert objects.index(RUN) == PROOFS[:1]
    shutil.rmtree(kept.folder().path)
    done = kept.node().run()
    assert done.returncode == 3
    assert "error: stage `sum` is done, but `" in done.stderr


def test_a_laptop_without_rclone_is_a_sentence(monkeypatch, tmp_path, refusal):
    monkeypatch.setenv("PATH", str(tmp_path))
    bucket = BucketFolder(Bucket("s3://some/place"), "run")
    assert refusal(bucket.fetch, "export", tmp_path / "x", print, code=3) == (
        "error: `s3://some/place`: `rclone` is not installed here\n\n"
        "hint: install it: rclone.org/install, `apt install rclone`"
    )


def test_a_bucket_s_credentials_are_not_shown():
    assert "hidden" not in repr(BucketFolder(Bucket("s3://some"), "run", {"AWS_SECRET_ACCESS_KEY": "hidden"}))
