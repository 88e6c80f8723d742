"""Tokenizers: captions to ids, and what a tokenizer makes of a caption."""
