"""What is to be said of a batch of sampled replies."""

from statistics import fmean

from transfer_queue import KVBatchMeta


def reply_metrics(batch: KVBatchMeta, limit: int) -> dict[str, float]:
    """Tokens of the sampled replies, and the share that was cut at `limit`."""
    lengths = [tag["response_len"] for tag in batch.tags if not tag.get("is_padding", False)]
    return {
        "response_length": fmean(lengths),
        "response_length/max": max(lengths),
        "response_length/cut": fmean(length >= limit for length in lengths),
    }
