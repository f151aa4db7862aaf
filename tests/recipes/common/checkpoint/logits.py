"""Opens models with whatever transformers there is, as a user does, and saves each one's numbers beside it.

python logits.py NAME FOLDER ...    FOLDER/NAME.pt: logits of 16 tokens, and the tensors that were not found
"""

import json
import sys
from pathlib import Path

import torch
import transformers

for folder in map(Path, sys.argv[2:]):
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model, info = getattr(transformers, architecture).from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.arange(16)[None]).logits
    lost = sorted({*info["missing_keys"], *info["unexpected_keys"]})
    version = transformers.__version__
    torch.save({"version": version, "logits": logits, "lost": lost}, folder / f"{sys.argv[1]}.pt")
