"""Guiders at equal effective scale: python experiments/guidance/effective.py [run=outputs/NAME] [count=32]

For each guider and each of its scales: the scale of classifier-free guidance that its updates amount to (mean and standard
deviation over pictures, see lightning_diff/diffusion/effective.py), and the share of its updates that is orthogonal to those of
CFG. The numbers of the table "Which guider?" in README.md stand beside those of CFG at that effective scale, on straight lines
between the scales that were measured. The shipped model draws, of held-out captions, unless run= names another one.
"""

from __future__ import annotations

import sys

import numpy as np

import lightning_diff as ld
from lightning_diff.config.registry import named
from lightning_diff.data.synthetic.still_life import sample

CFG = {  # experiments/shipped/README.md: w -> FID, CLIP score, captions obeyed
    1.0: (5.18, 89.6, 0.801), 1.5: (4.79, 90.8, 0.836), 2.0: (4.99, 91.1, 0.848), 3.0: (5.24, 91.3, 0.867),
    4.0: (5.51, 91.1, 0.859), 6.0: (6.01, 90.3, 0.852), 8.0: (6.56, 89.2, 0.828),
}  # fmt: skip
CASES = [  # name, guidance, its keys, {w: FID, CLIP score, captions obeyed}
    ("cfg", "cfg", {}, {3.0: (5.26, 91.28, 0.867), 8.0: (6.58, 89.21, 0.824)}),
    ("interval", "cfg", {"interval": [0.3, 5.0]}, {4.0: (5.03, 91.02, 0.855), 8.0: (5.36, 90.67, 0.852)}),
    ("apg", "apg", {}, {4.0: (5.50, 91.19, 0.891), 8.0: (6.60, 90.08, 0.867)}),
    ("rescale", "cfg", {"rescale": 0.7}, {4.0: (5.55, 90.93, 0.883), 8.0: (7.01, 89.21, 0.867)}),
    ("cfg_zero", "cfg_zero", {}, {4.0: (5.53, 91.21, 0.867), 8.0: (6.60, 89.53, 0.836)}),
    ("growing", "cfg", {"schedule": "linear"}, {4.0: (5.48, 90.22, 0.855), 8.0: (8.13, 86.62, 0.844)}),
    ("cfg++", "cfgpp", {}, {0.8: (4.95, 91.00, 0.859)}),
]


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    count = int(given.get("count", 32))
    captions = [sample("test", 0, i).caption for i in range(count)]
    print("| guider | w | effective scale | orthogonal | FID | cfg | CLIP score | cfg | obeyed | cfg |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, kind, keys, rows in CASES:
        sampler = named("sampler", "ddim" if kind == "cfgpp" else "euler")(steps=20, precision="float32")
        model = ld.load(given.get("run"), sampler=sampler, guider=named("guidance", kind)(**keys))
        for w, numbers in rows.items():
            found = model.effective_scale(captions, range(count), w)
            scale, across = float(found.scale.mean()), float(found.orthogonal.mean())
            beside = [np.interp(scale, list(CFG), [row[i] for row in CFG.values()]) for i in range(3)]
            cells = [f"{n:{f}} | {b:{f}}" for n, b, f in zip(numbers, beside, (".2f", ".2f", ".3f"), strict=True)]
            spread = f"{scale:.2f} ± {float(found.scale.std()):.2f}"
            print(f"| {name} | {w:g} | {spread} | {across:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
