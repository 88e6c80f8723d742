"""The fields of transformers' CLIPTextConfig, and the description of our tower that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.errors import ConfigError
from ...config.foreign.laws import carried, equal, heed, no_effect

WHOLE = "clip"  # the model_type of a CLIPModel, whose text_config holds the words of its text half
TRAINING = "belongs to its first weights or to its training"
GENERATION = "a setting of text generation, which every config of older transformers had"
BOOKKEEPING = "says how the library keeps it"
OLD = """
add_cross_attention bad_words_ids begin_suppress_tokens cross_attention_hidden_size decoder_start_token_id
diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty
finetuning_task forced_bos_token_id forced_eos_token_id is_decoder length_penalty max_length min_length
no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores prefix pruned_heads
remove_invalid_values repetition_penalty return_dict_in_generate sep_token_id suppress_tokens
task_specific_params temperature tf_legacy_loss tie_encoder_decoder tie_word_embeddings tokenizer_class top_k
top_p torchscript typical_p use_bfloat16 use_cache
"""

LAWS = {
    "model_type": equal("clip_text_model"),
    "vocab_size": carried(49408),
    "hidden_size": carried(512),
    "intermediate_size": carried(2048),
    "projection_dim": no_effect(512, "the projection's own shape says it"),
    "num_hidden_layers": carried(12),
    "num_attention_heads": carried(8),
    "max_position_embeddings": carried(77),
    "hidden_act": carried("quick_gelu", "gelu or quick_gelu"),
    "layer_norm_eps": equal(1e-5),
    "attention_dropout": equal(0.0),
    "dropout": equal(0.0),
    "initializer_range": no_effect(0.02, TRAINING),
    "initializer_factor": no_effect(1.0, TRAINING),
    "bos_token_id": no_effect(49406, "the tokenizer says it"),
    "eos_token_id": equal(49407, 2, why="the pooled output is taken there; 2 stands for it in older configs"),
    "pad_token_id": no_effect(1, "the tokenizer says it"),
    **{
        name: no_effect(None, BOOKKEEPING) for name in ("architectures", "transformers_version", "torch_dtype", "dtype")
    },
    **{name: no_effect(None, BOOKKEEPING) for name in ("id2label", "label2id", "problem_type", "output_attentions")},
    **{
        name: no_effect(None, BOOKKEEPING)
        for name in ("output_hidden_states", "return_dict", "chunk_size_feed_forward")
    },
    "is_encoder_decoder": no_effect(False, BOOKKEEPING),
    **{name: no_effect(None, GENERATION) for name in OLD.split()},
}


def text_words(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The fields of a CLIP text encoder's config; of a whole CLIPModel's config those of its text half. Raises ConfigError,
    which names the field."""
    if config.get("model_type") == WHOLE:
        config = {**config.get("text_config", {}), "model_type": "clip_text_model"}
    c = heed(LAWS, config, where)
    if c["hidden_act"] not in ("gelu", "quick_gelu"):
        raise ConfigError(f"{where}: hidden_act={c['hidden_act']}: only gelu and quick_gelu are computed here")
    return c
