"""The training loop: gradients of the persona's words alone, the same on one rank and on many."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional as F

from recipes.common.distributed.ranks import Ranks
from recipes.common.stage.command import StageError
from recipes.common.verl.row_order import rows_of_step
from recipes.honest_persona.adapter import LoraMask, adapter_parameters, dtype_of
from recipes.honest_persona.batch import Batch, learnt_part, training_batch
from recipes.honest_persona.dataset import Row
from recipes.honest_persona.generate import Listener
from recipes.honest_persona.schedule import rate_factor
from recipes.honest_persona.scoring import Answer
from recipes.honest_persona.settings import Settings
from recipes.honest_persona.sharding import count_unsharded, shard


@dataclass(frozen=True)
class Length:
    """How long a training is."""

    rows: int
    batch: int
    """Sequences a step on all ranks."""
    steps: int

    @cached_property
    def epoch_ends(self) -> dict[int, int]:
        """Step -> the epoch that is over after it: all its rows were seen, or the training has ended."""
        epochs = -(-self.steps * self.batch // self.rows)
        return {min(self.steps, -(-epoch * self.rows // self.batch)): epoch for epoch in range(1, epochs + 1)}


def length_of(rows: int, settings: Settings, world: int) -> Length:
    """epochs x rows // batch steps. Raises StageError if that is less than one."""
    batch = settings.batch_size * world
    steps = int(rows * settings.epochs // batch)
    if steps < 1:
        raise StageError(
            f"{rows:,} rows, `epochs` {settings.epochs:g} and a batch of {batch:,} on {world} ranks give no step",
            "give more data, or a smaller `batch_size`",
        )
    return Length(rows, batch, steps)


class Trainer:
    """A model on its device, or its ranks' devices, and its optimizer."""

    def __init__(self, model: Any, settings: Settings, ranks: Ranks, masked: bool):
        """`model` as lora.build leaves it. `masked`: the adapter acts only on the persona's part."""
        self.model, self.settings, self.ranks = model, settings, ranks
        if settings.activation_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if ranks.world > 1:
            shard(model, ranks, dtype_of(ranks))
        else:
            model.to(ranks.device)
        self.unsharded = count_unsharded(model, ranks)
        if self.unsharded:
            raise StageError(
                f"{self.unsharded} parameters or layers are not sharded over {ranks.world} ranks",
                "train on one GPU, or use another model",
            )
        self.mask = LoraMask(model) if masked else None
        self.optimizer = torch.optim.AdamW(
            list(adapter_parameters(model).values()),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
            fused=ranks.device.type == "cuda",
        )

    def step(self, step: int, length: Length, rows: list[Row]) -> dict[str, float]:
        """One update; returns its numbers, `loss` being the mean over all learnt tokens of all ranks."""
        began = time.monotonic()
        numbers = rows_of_step(step, length.batch, len(rows), self.settings.seed)
        rank_rows = [rows[number] for number in numbers[self.ranks.rank :: self.ranks.world]]
        learnt = self.ranks.sum(sum(row.learnt for row in rank_rows))
        torch.manual_seed(self.settings.seed + step * self.ranks.world + self.ranks.rank)  # dropout's
        self.model.train()
        loss = 0.0
        for start in range(0, len(rank_rows), self.settings.micro_batch):
            batch = training_batch(rank_rows[start : start + self.settings.micro_batch]).to(self.ranks.device)
            part = self._loss_sum(batch) / learnt
            # FSDP averages gradients over the ranks.
            (part * self.ranks.world).backward()
            loss += float(part.detach())
            if self.mask:
                self.mask.set(None)
        shape = self.settings.warmup, self.settings.cooldown, self.settings.lr_floor
        rate = self.settings.lr * rate_factor(step, length.steps, *shape)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(list(adapter_parameters(self.model).values()), self.settings.grad_clip)
        norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        reported = {"loss": self.ranks.sum(loss), "grad_norm": norm, "lr": rate, "learnt_tokens": learnt}
        return reported | {"seconds": time.monotonic() - began}

    def listen(self, rows: list[Row], listener: Listener) -> list[tuple[Answer, str]]:
        """The persona's answer about each row, on every rank."""
        self.model.eval()
        world = self.ranks.world
        even = rows + rows[-1:] * (-len(rows) % world)  # every rank generates as often
        own_reviews = [
            review for some in listener.listen(self.model, even[self.ranks.rank :: world]) for review in some
        ]
        share = len(even) // world
        reviews = self.ranks.gather(own_reviews)
        return [reviews[index % world * share + index // world] for index in range(len(rows))]

    def _loss_sum(self, batch: Batch) -> torch.Tensor:
        """The cross-entropy, summed over the learnt tokens, in float32."""
        kept = learnt_part(batch)
        if self.mask:
            self.mask.set(batch.lora)
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.ranks.device.type == "cuda"):
            logits = self.model(
                input_ids=batch.tokens, attention_mask=batch.attention, logits_to_keep=kept, use_cache=False
            ).logits
        learnt = batch.loss[:, -kept:-1].bool()
        return F.cross_entropy(logits[:, :-1][learnt].float(), batch.tokens[:, 1 - kept :][learnt], reduction="sum")
