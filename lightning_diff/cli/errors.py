"""How a command ends early: an error that the user can fix is printed as one line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from ..cluster.detection import heed_slurm
from ..cluster.requeue import TRY_AGAIN
from ..cluster.signals import STOP, Interrupted
from ..config.errors import ConfigError
from ..config.input.files import located
from ..config.input.messages import one_line
from ..files import NO_ROOM
from ..heap import keep_heap
from ..locks import NO_LOCKS
from ..ranks import end_with_helped, first_rank, wrong_rank
from ..strings import visible
from ..terminal import settle_terminal

LACKING = (
    *NO_ROOM,
    *NO_LOCKS,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ELOOP),
)  # no room, no permission to write; a folder in the place of a file, or a file in that of a folder; what a disk or a limit ends

# Lightning imports matplotlib, which reads both of these at once and ends if they are wrong.
PLAIN_FIGURES = {"MPLBACKEND": "Agg", "MATPLOTLIBRC": os.devnull}


def lacking(error: BaseException) -> str | None:
    """The message of an error that says what the system does not give, such as room or a permission; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in LACKING:
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def lost(error: BaseException) -> bool:
    """Whether the error says that another process of a training on CPUs is gone (gloo's words)."""
    words = str(error)
    return isinstance(error, RuntimeError) and "gloo" in words and ("by peer" in words or "Connection refused" in words)


def exit_on_error(work: Callable[[], None]) -> None:
    """Run `work`. If the user can fix its error, or a signal stops it, print one line and exit."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    settle_terminal()
    keep_heap()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    os.environ.update(PLAIN_FIGURES)
    try:
        STOP.install()  # raises, if a signal came since the first line
        heed_slurm("cluster.slurm=false" not in sys.argv)  # before the rank is asked for
        end_with_helped()
        if wrong := wrong_rank():
            raise ConfigError(wrong)
        work()
    except Interrupted as e:
        _stop(e)
    except Exception as e:
        if STOP.ends:  # a library answered the signal's exception with one of its own
            _stop(Interrupted(STOP.number))
        if isinstance(e, ConfigError):
            _fail(located(str(e), sys.argv[1:]), 2)
        if isinstance(e, HydraException | OmegaConfBaseException):
            _fail(located(one_line(e), sys.argv[1:]), 2)
        if isinstance(e, TimeoutError):
            _fail(f"error: {e}", TRY_AGAIN)
        if lost(e):
            _fail(
                "error: another process of this run has ended (killed, or without memory); the same command continues",
                1,
            )
        if not (why := lacking(e)):
            raise
        _fail(f"error: {why}; mend that, and the same command continues", 1)


def _stop(stop: Interrupted) -> NoReturn:
    if not stop.handed_back:
        from ..cluster.requeue import hand_back

        hand_back(stop)
    if not first_rank():  # one line for all processes
        sys.exit(stop.exit_code)
    _fail(str(stop), stop.exit_code)


def _fail(message: str, code: int) -> NoReturn:
    one = visible(message.replace("\r", "\\r").replace("\n", "\\n"))  # a path may hold them
    print(f"error: {one}" if code == 2 else visible(message), file=sys.stderr, flush=True)
    sys.exit(code)
