"""(prompts, seeds) to pictures: the one face that evaluation knows."""
