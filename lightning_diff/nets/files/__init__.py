"""Safetensors files that hold their own sum."""
