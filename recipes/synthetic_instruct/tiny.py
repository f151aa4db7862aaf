"""The rehearsal's models: a speaker that has learnt a few chats by heart, and a judge."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from recipes.common.model import tiny
from recipes.common.model.loading import take_device
from recipes.synthetic_instruct.chat import turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Pair = tuple[str, str]
LESSON = 16
"""Chats a step."""
RATE = 1e-2
SPREAD = 1.5
"""Standard deviation of the judge's logits over the chats it is made of, about a real reward model's."""


def save_speaker(folder: Path, pairs: list[Pair], steps: int, seed: int = 0) -> None:
    """`folder` holds a tiny chat model; after a few hundred steps it writes chats that are put together of `pairs`."""

    def teach(model: torch.nn.Module, tokenizer: "PreTrainedTokenizerFast") -> None:
        take_device("cpu")
        _teach(model, tokenizer, pairs, steps)

    tiny.save(folder, itertools.chain.from_iterable(pairs), seed, teach if steps else None)


def save_judge(folder: Path, pairs: list[Pair], seed: int = 0) -> None:
    """`folder` holds a DeBERTa of two layers with one logit, and a tokenizer that writes a pair as two segments."""
    from tokenizers.processors import TemplateProcessing
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

    core = tiny.train_tokenizer(itertools.chain.from_iterable(pairs)).backend_tokenizer
    core.add_special_tokens(["[CLS]", "[SEP]", "[PAD]"])
    special = [(name, core.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=64,
        pos_att_type=["p2c", "c2p"],
        type_vocab_size=2,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        initializer_range=0.3,  # of the usual 0.02, a random DeBERTa finds all answers equally good
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DebertaV2ForSequenceClassification(config)
    inputs = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**inputs).logits[:, 0]
        model.classifier.weight *= SPREAD / logits.std()
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _teach(model: torch.nn.Module, tokenizer: "PreTrainedTokenizerFast", pairs: list[Pair], steps: int) -> None:
    texts = [tokenizer.apply_chat_template(turns(*pair), tokenize=False) for pair in pairs]
    # an instruction is drawn after the user's header alone, a response after the system's line too
    texts += [text[text.index(f"{tiny.START}user") :] for text in texts]
    chats = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    model.train()
    for _ in range(steps):
        drawn = [torch.tensor(chats[index]) for index in torch.randint(len(chats), (LESSON,)).tolist()]
        ids = torch.nn.utils.rnn.pad_sequence(drawn, batch_first=True, padding_value=-100)
        logits = model(input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long()).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
    print(f"learnt {len(pairs)} chats: loss {loss.item():.3f} after {steps} steps", flush=True)
    model.eval()
