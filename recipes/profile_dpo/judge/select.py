"""The judge that a stage's settings name; what it needs is imported when it is opened."""

from pathlib import Path

from recipes.profile_dpo.judge.types import Judge, JudgeSettings


def open_judge(settings: JudgeSettings, model: Path, batched: bool, work: Path) -> Judge:
    """The judge that the settings name. `batched`: by the batch interface; `work` keeps what is on its way there."""
    if settings.judge == "words":
        from recipes.profile_dpo.judge.words import WordJudge

        return WordJudge()
    if settings.judge == "local":
        from recipes.profile_dpo.judge.local import LocalJudge

        return LocalJudge(model, settings)
    from recipes.profile_dpo.judge.batch import BatchJudge
    from recipes.profile_dpo.judge.endpoint import EndpointJudge, open_client

    client = open_client(settings)
    return BatchJudge(client, settings, work) if batched else EndpointJudge(client, settings)
