"""Real captioned pictures: Tux Paint's stamps (GPL-2), from Debian's package: python experiments/stamps/stamps.py FOLDER

Writes FOLDER/KEY.png beside FOLDER/KEY.txt, its English caption: 785 pictures of 90 to 1000 px, transparent or with palettes.
Needs apt-get and dpkg (Debian, Ubuntu), and the network. What is there already is not made again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "tuxpaint-stamps-default"
TURNED = ("_flip", "_mirror", "_mirror_flip")  # the same picture once more


def download(scratch: Path) -> Path:
    """The folder of the stamps in the unpacked package."""
    command = ["apt-get", "download", "-qq", PACKAGE]
    if subprocess.run(command, cwd=scratch, stderr=subprocess.DEVNULL).returncode:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(command, cwd=scratch, check=True)
    subprocess.run(["dpkg", "-x", str(next(scratch.glob("*.deb"))), "unpacked"], cwd=scratch, check=True)
    return scratch / "unpacked" / "usr" / "share" / "tuxpaint" / "stamps"


def caption_of(text: str) -> str:
    """The English caption: the first line. A file without one begins with that of another language, as in "de.utf8=Ein Hund"."""
    first = text.split("\n")[0].strip()
    return "" if ".utf8=" in first else first


def main() -> None:
    out = Path(sys.argv[1]).expanduser()
    if out.is_dir():
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = download(Path(scratch))
        made = out.with_name(f"{out.name}.partial")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        for picture in sorted(root.rglob("*.png")):
            text = picture.with_suffix(".txt")
            if picture.stem.endswith(TURNED) or not text.is_file():
                continue
            if caption := caption_of(text.read_text("utf-8", "replace")):
                key = "-".join(picture.relative_to(root).with_suffix("").parts)
                shutil.copy(picture, made / f"{key}.png")
                (made / f"{key}.txt").write_text(f"{caption}\n", "utf-8")
        made.rename(out)
    print(f"{len(list(out.glob('*.png')))} captioned pictures in {out}")


if __name__ == "__main__":
    main()
