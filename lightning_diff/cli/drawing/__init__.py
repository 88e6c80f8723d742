"""sample.py: pictures of prompts at one scale or several, and pictures that are drawn again."""
