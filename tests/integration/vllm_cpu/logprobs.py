"""Opens models with vLLM on a CPU and saves what they make of a prompt.

python logprobs.py OUT FOLDER ...

OUT: for each folder the log-probability of each token of the prompt, given those before it, and the 8 most probable
tokens that follow. Mixtures of experts come first: vLLM makes the group of its experts with the first model.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}

PROMPT = list(range(5, 45))


def main() -> None:
    from vllm import LLM, SamplingParams

    from recipes.common.inference.vllm_engine import ON_CPU

    greedy = SamplingParams(max_tokens=8, temperature=0, prompt_logprobs=0, detokenize=False, ignore_eos=True)
    read = {}
    for folder in sys.argv[2:]:
        model = LLM(folder, skip_tokenizer_init=True, dtype="float32", max_model_len=64, max_num_seqs=4, **ON_CPU)
        [output] = model.generate([{"prompt_token_ids": PROMPT}], [greedy], use_tqdm=False)
        pairs = zip(output.prompt_logprobs[1:], PROMPT[1:], strict=True)
        read[folder] = {
            "logprobs": [position[token].logprob for position, token in pairs],
            "tokens": list(output.outputs[0].token_ids),
        }
    Path(sys.argv[1]).write_text(json.dumps(read))


if __name__ == "__main__":
    main()
