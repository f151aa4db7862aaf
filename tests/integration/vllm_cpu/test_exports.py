"""vLLM opens what `convert` makes of rank files, and computes what transformers computes of the model itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipes.common.checkpoint.convert import convert
from tests.integration.vllm_cpu.logprobs import PROMPT
from tests.recipes.common.checkpoint.architectures import model_of
from tests.recipes.common.conftest import write_role
from tests.support.patience import patience

__all__ = ["write_role"]
ROOT = Path(__file__).parents[3]
WIDE = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "moe_intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
}
"""vLLM's attention and experts on a CPU have no smaller sizes."""
MIXTURES = ("MixtralForCausalLM", "Qwen3MoeForCausalLM", "OlmoeForCausalLM")
DENSE = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


@pytest.fixture(scope="module")
def models():
    return {name: model_of(name, sizes=WIDE) for name in (*MIXTURES, *DENSE)}


@pytest.fixture
def read(models, write_role, tmp_path):
    """What vLLM makes of each class's export, by class."""
    exports = {name: tmp_path / "export" / name for name in models}
    for name, model in models.items():
        state = {key: value.detach() for key, value in model.state_dict().items()}
        role = write_role(state, (2,), config=json.loads(model.config.to_json_string()), name=name)
        convert(role, exports[name], None, 10**12, lambda *_: None)
    answer = tmp_path / "answer.json"
    command = [sys.executable, "-m", "tests.integration.vllm_cpu.logprobs", str(answer), *map(str, exports.values())]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=patience(400))
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(answer.read_text())
    return {name: answers[str(folder)] for name, folder in exports.items()}


def test_vllm_computes_what_transformers_computes(models, read):
    for name, model in models.items():
        with torch.no_grad():
            rows = model(torch.tensor([PROMPT])).logits[0].log_softmax(-1)
        told = torch.stack([row[token] for row, token in zip(rows, PROMPT[1:], strict=False)])
        assert torch.allclose(torch.tensor(read[name]["logprobs"]), told, rtol=0, atol=2e-4), name
        assert told.std() > 0.1, f"{name}: a model that knows nothing would agree with any other"
        following = model.generate(
            torch.tensor([PROMPT]), max_new_tokens=8, min_new_tokens=8, do_sample=False, eos_token_id=None
        )
        assert read[name]["tokens"] == following[0, len(PROMPT) :].tolist(), name
