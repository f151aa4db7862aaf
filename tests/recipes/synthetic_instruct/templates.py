"""Tokenizers with the special tokens and chat templates of known families, in a few words of vocabulary."""

from recipes.common.model import tiny

LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim "
    "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
LLAMA_3_1 = (
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n"
    "Today Date: 26 Jul 2024\\n\\n<|eot_id|>' }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
QWEN_2_5 = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
    "You are a helpful assistant.<|im_end|>\\n' }}{%- endif %}{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
QWEN_2 = QWEN_2_5.replace("You are Qwen, created by Alibaba Cloud. ", "")
MISTRAL = (
    "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
    "{{- '[INST] ' + message['content'] + ' [/INST]' }}{%- else %}{{- ' ' + message['content'] + '</s>' }}"
    "{%- endif %}{%- endfor %}"
)

FAMILIES = {
    "Llama-3": (LLAMA_3, "<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"]),
    "Llama-3.1": (LLAMA_3_1, "<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"]),
    "Qwen2.5": (QWEN_2_5, None, "<|im_end|>", ["<|im_start|>", "<|endoftext|>"]),
    "Qwen2": (QWEN_2, None, "<|im_end|>", ["<|im_start|>", "<|endoftext|>"]),
    "Mistral": (MISTRAL, "<s>", "</s>", ["[INST]", "[/INST]", "<unk>"]),
}


def tokenizer(family, folder=None, eos=None):
    """The family's tokenizer, which puts a BOS before every text where the family's does; with another end of texts,
    as bases have; saved where a folder is given."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    template, bos, end, others = FAMILIES[family]
    core = tiny.train_tokenizer(["a few words of text", "#", "##", "###", "## Step 1"]).backend_tokenizer
    core.add_special_tokens([one for one in [bos, end, eos, *others] if one])
    if bos:
        core.post_processor = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))])
    unknown = {"unk_token": "<unk>"} if "<unk>" in others else {}
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=bos,
        eos_token=eos or end,
        extra_special_tokens=others,
        chat_template=template,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        **unknown,
    )
    if folder:
        made.save_pretrained(folder)
    return made
