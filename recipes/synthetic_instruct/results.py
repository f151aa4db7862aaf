"""What the harness found, as numbers with standard errors and as a table of three models. Pure."""

from typing import Any

HELD = ("alias", "name", "sample_len", "sample_count", "samples")
"""Keys of the harness that are no measurements."""


def numbers_of(numbers: dict[str, Any]) -> dict[str, Any]:
    """Of one task: metric -> {"value", "stderr"}; the harness's own filter `none` is left out of the name."""
    found: dict[str, Any] = {}
    for key, value in numbers.items():
        metric, _, kind = key.partition(",")
        if metric in HELD or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        error = numbers.get(f"{metric}_stderr,{kind}")
        name = metric if kind in ("", "none") else f"{metric} ({kind})"
        found[name] = {"value": value, "stderr": error if isinstance(error, (int, float)) else None}
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """Model -> task -> numbers, as a Markdown table: a line a metric, a column a model."""
    lines = ["| task | metric | questions | " + " | ".join(found) + " |", "|---|---|---:|" + "---:|" * len(found)]
    first = next(iter(found.values()))
    for task, numbers in first.items():
        for metric in (name for name in numbers if name != "samples"):
            cells = [_shown(one.get(task, {}).get(metric)) for one in found.values()]
            lines.append(f"| {task} | {metric} | {numbers.get('samples') or ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def flat(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every number under `<model>_<task>_<metric>`, and its error under the same with `_stderr`."""
    numbers: dict[str, float] = {}
    for model, tasks in found.items():
        for task, metrics in tasks.items():
            for metric, one in metrics.items():
                if metric == "samples":
                    continue
                numbers[f"{model}_{task}_{metric}"] = one["value"]
                if one["stderr"] is not None:
                    numbers[f"{model}_{task}_{metric}_stderr"] = one["stderr"]
    return numbers


def main_numbers(tasks: dict[str, Any], model: str) -> dict[str, float]:
    """The first metric of each task, for the screen."""
    return {
        f"{model}/{task}": next(one["value"] for name, one in metrics.items() if name != "samples")
        for task, metrics in tasks.items()
        if len(metrics) > 1
    }


def _shown(one: dict[str, Any] | None) -> str:
    if one is None:
        return ""
    return f"{one['value']:.4f}" + ("" if one["stderr"] is None else f" ± {one['stderr']:.4f}")
